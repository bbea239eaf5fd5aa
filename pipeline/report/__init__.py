"""What leaves the program about a case: a page to print, DICOM objects, a record for scripts."""
