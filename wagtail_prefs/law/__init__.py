"""What the law asks for by the recipient's country: facts with sources, and the rules that follow from them."""
