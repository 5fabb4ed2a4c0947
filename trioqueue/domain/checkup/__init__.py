"""What `trioqueue doctor` concludes from what it has seen. Pure: who looks, and how, is not known here."""
