//! Renders Helm charts as helm does
