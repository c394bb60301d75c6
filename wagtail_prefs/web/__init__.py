"""The pages behind links, one-click unsubscribe, and the element's script: HTML and bytes, no JSON."""
