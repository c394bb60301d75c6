"""What can be chosen: audiences, and topics with their texts."""
