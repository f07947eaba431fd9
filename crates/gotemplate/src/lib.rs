//! Go's text/template with sprig's functions
