"""What is true about campaigns, whoever stores or sends them: plain functions and frozen classes, no I/O."""
