"""What people think of the videos: the paper's three user studies as a web page, and their results."""
