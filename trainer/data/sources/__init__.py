"""Sources as read: files, arrays, synthetic rows."""
