"""May I send this to her now? One answer for every sender, with the rule that gave it."""
