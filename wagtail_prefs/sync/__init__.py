"""What comes in from elsewhere: files of people today."""
