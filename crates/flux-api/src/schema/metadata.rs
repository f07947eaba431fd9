//! The frame around every spec: `apiVersion`, `kind`, `metadata`, `status`.

use super::node::{Node, boolean, int, list, object, strings, text};

/// An object with that spec. The status is not checked: it is ours or another controller's, never the user's.
pub(super) fn frame(spec: Node, spec_required: bool) -> Node {
    let metadata = object()
        .req("name", text())
        .def("generateName", text())
        .def("namespace", text())
        .def("labels", strings())
        .def("annotations", strings())
        .def("finalizers", list(text()))
        .def(
            "ownerReferences",
            list(
                object()
                    .req("apiVersion", text())
                    .req("kind", text())
                    .req("name", text())
                    .req("uid", text())
                    .opt("controller", boolean())
                    .opt("blockOwnerDeletion", boolean()),
            ),
        )
        .def("creationTimestamp", text())
        .def("deletionTimestamp", text())
        .def("deletionGracePeriodSeconds", int())
        .def("generation", int())
        .def("resourceVersion", text())
        .def("uid", text())
        .def("selfLink", text())
        .def("managedFields", Node::Any);
    let frame = object().req("apiVersion", text()).req("kind", text()).req("metadata", metadata);
    let frame = if spec_required { frame.req("spec", spec) } else { frame.def("spec", spec) };
    frame.def("status", Node::Any).into()
}
