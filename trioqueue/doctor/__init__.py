"""`trioqueue doctor`: looks at everything that a worker needs, and changes nothing."""
