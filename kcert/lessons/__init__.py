"""The words that users read: one Markdown file a topic."""
