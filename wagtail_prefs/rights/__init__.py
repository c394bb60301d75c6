"""What people may ask for - their data, to be forgotten, proof - and what nobody needs any more."""
