//! Metrics about the program: its feature gates, and its own version.

use ferretcd_flags::FeatureGates;
use prometheus::{Error, IntGaugeVec, Opts, Registry};

/// Registers them. They never change while a program runs.
pub(crate) fn register(gates: &FeatureGates, registry: &Registry) -> Result<(), Error> {
    let enabled = Opts::new("etcd_server_feature_enabled", "1 if the feature gate is open, else 0.");
    let enabled = IntGaugeVec::new(enabled, &["name", "stage"])?;
    for (name, stage, is_open) in gates.all() {
        enabled.with_label_values(&[name, stage]).set(is_open.into());
    }
    registry.register(Box::new(enabled))?;
    let build = Opts::new("ferretcd_build_info", "Constant 1; the label tells the version of ferretcd.");
    let build = IntGaugeVec::new(build, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}
