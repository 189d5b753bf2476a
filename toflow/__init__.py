"""TOFlow: Video Enhancement with Task-Oriented Flow, IJCV 2019."""
