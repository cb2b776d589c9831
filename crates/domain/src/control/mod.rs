//! The control machine: sites, nodes, cells, buckets, floor plan versions.
//! Promise: one version of the truth about placement and plan, changed by compare-and-set.
//! Not here: deciding work (`cell`).
