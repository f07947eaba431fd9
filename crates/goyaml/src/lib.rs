//! YAML as Go's YAML libraries read and write it
