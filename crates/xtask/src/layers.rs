//! Layers: which crate may import which, as data, checked over the dependency closure.
//! Promise: lists every edge that breaks the order, with the manifest and what to do.
//! Not here: licences, sources and banned packages (`deny.toml`); words inside a file (`tidy`).

mod check;
mod graph;

pub use check::check;
pub use graph::Graph;

/// Our crates, in order: a crate may import only crates above it.
pub const ORDER: &[&str] = &[
    "mutants",
    "pb",
    "domain",
    "wire",
    "rpc",
    "client",
    "runtime",
    "ports",
    "store",
    "raft",
    "conversation",
    "router",
    "channels",
    "api",
    "node",
    "cli",
    "sim",
    "fuzz",
    "xtask",
];

/// Crates of ours that one crate may import, where the order alone would let it have more.
pub struct Only {
    /// The crate.
    pub name: &'static str,
    /// What it may import of ours; its tests may take more.
    pub imports: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// Narrower than the order.
pub const ONLY: &[Only] = &[
    Only {
        name: "client",
        imports: &["mutants", "pb", "rpc"],
        reason: "an application embeds the SDK without the server",
    },
    Only {
        name: "domain",
        imports: &["mutants"],
        reason: "decisions know neither wire nor machine",
    },
    Only {
        name: "mutants",
        imports: &[],
        reason: "whatever may have a bug planted in it imports it",
    },
    Only {
        name: "xtask",
        imports: &[],
        reason: "the checks must build when nothing else does",
    },
];

/// Packages that must not be reached from a crate, however indirectly.
pub struct Wall {
    /// The crates behind the wall.
    pub names: &'static [&'static str],
    /// What they must not reach; `tonic*` is every package whose name starts so.
    pub refused: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// Walls, over normal dependencies.
pub const WALLS: &[Wall] = &[
    Wall {
        names: &["pb"],
        refused: &["tonic*", "tokio*", "hyper*"],
        reason: "messages are data: domain tools read them without a network stack",
    },
    Wall {
        names: &["conversation", "router", "channels", "api"],
        refused: &["raft", "store", "openraft", "sled"],
        reason: "they know ports, so that a test or a simulation can stand behind them",
    },
];

/// Sections of a manifest that a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sections {
    /// Every section, tests included.
    All,
    /// What is linked into the product or runs in its build.
    Product,
}

/// A package that only some crates of ours may name in their manifest.
pub struct NamedBy {
    /// The package; `openraft*` is every package whose name starts so.
    pub package: &'static str,
    /// Who may name it.
    pub by: &'static [&'static str],
    /// In which sections the others may not.
    pub sections: Sections,
    /// Why.
    pub reason: &'static str,
}

/// Packages behind one door.
pub const NAMED_BY: &[NamedBy] = &[
    NamedBy {
        package: "openraft*",
        by: &["raft"],
        sections: Sections::All,
        reason: "a change of its interface must touch one crate",
    },
    NamedBy {
        package: "sled",
        by: &["store"],
        sections: Sections::All,
        reason: "the archive's index can then be replaced in one crate",
    },
    NamedBy {
        package: "tonic*",
        by: &["rpc", "client", "raft", "api", "node", "cli", "sim"],
        sections: Sections::All,
        reason: "wire types stop at the edge",
    },
    NamedBy {
        package: "rand*",
        by: &["runtime", "sim"],
        sections: Sections::All,
        reason: "one seeded generator per node, handed down by `runtime`",
    },
    NamedBy {
        package: "turmoil*",
        by: &["sim"],
        sections: Sections::All,
        reason: "the simulation changes what `env` hands in, never the product",
    },
    NamedBy {
        package: "mad-turmoil",
        by: &["sim"],
        sections: Sections::All,
        reason: "it takes the process's clock and randomness from the machine",
    },
    NamedBy {
        package: "anyhow",
        by: &["cli", "sim", "xtask"],
        sections: Sections::Product,
        reason: "a caller that must act on an error needs its type",
    },
];

/// A crate with nothing but these packages in its closure of normal dependencies.
pub struct Pure {
    /// The crate.
    pub name: &'static str,
    /// All that it may reach. None has a clock, a random source, a runtime or files and sockets.
    pub allowed: &'static [&'static str],
}

/// Pure crates: the same log must give the same bytes on every replica.
pub const PURE: &[Pure] = &[
    Pure {
        name: "domain",
        allowed: &["mutants", "thiserror", "thiserror-impl", "xxhash-rust"],
    },
    Pure {
        name: "wire",
        allowed: &[
            "arrayvec",
            "blake3",
            "bytes",
            "cfg-if",
            "constant_time_eq",
            "cpufeatures", // asks the processor which instructions it has
            "domain",
            "equivalent",
            "hashbrown", // behind indexmap in toml: keeps order of insertion, its hasher shows nowhere
            "indexmap",
            "libc", // behind cpufeatures on ARM alone, where the kernel tells the instructions
            "memchr",
            "mutants", // constants but in the simulation
            "pb",
            "prost",
            "prost-derive",
            "prost-types",
            "serde",
            "serde_core",
            "serde_derive",
            "serde_spanned",
            "thiserror",
            "thiserror-impl",
            "toml",
            "toml_datetime", // parses dates, has no clock
            "toml_edit",
            "toml_parser",
            "toml_writer",
            "winnow",
            "xxhash-rust",
        ],
    },
];
