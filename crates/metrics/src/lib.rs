//! Metrics: trackers that take telemetry signals, prices and budgets, and exporters.
//!
//! Floor 3. [`Telemetry`] is the service. Signals reach its trackers over the `bus`. Journaled signals are made from the
//! events of the whole journal (`projection.rs`), so metrics made of them are the same after a restart; live signals are
//! emitted once, while the work is done. [`Money`] has the prices and budgets for model calls. The crate knows no
//! workflow and no server: they emit signals, ask for prices and read metrics. The wire format of OTLP is known to `otlp/`.
//!
//! To add a tracker, write a file with a type that implements `Tracker`, and add it to `Trackers` and the factory
//! (`telemetry.rs`) and to [`Report`]. To add a metric, add a line in `export.rs`.
//!
//! **It must not stop or slow the work.** Emitting a signal never waits, and a signal that cannot be taken is counted.

mod alerts;
mod batch;
mod bounded;
mod buckets;
mod budget;
mod cost;
mod engine;
mod errors;
mod export;
mod fingerprint;
mod models;
mod money;
mod otlp;
mod price;
mod projection;
mod report;
mod requests;
mod sketch;
mod slo;
mod streaming;
mod telemetry;
mod timing;
mod tracker;
mod work;

pub use alerts::{Alert, AlertsView};
pub use batch::BatchView;
pub use budget::{BudgetView, Budgets, Held, Mode, Period, Refused, Rule, Who};
pub use cost::{Costs, Projection, Sums};
pub use engine::EngineView;
pub use errors::{ErrorGroup, ErrorsView, RecentError};
pub use export::{Count, Format, LabelSet, Names, Source, Writer};
pub use fingerprint::{Normaliser, VERSION as FINGERPRINT_VERSION};
pub use models::{CacheView, ModelView};
pub use money::{Following, Money, Planned};
pub use otlp::{OtlpError, OtlpOptions, OtlpView};
pub use price::{
    BadUsage, ConfiguredPrice, Error as MoneyFileError, ModelAt, Priced, Prices, Usage,
};
pub use projection::{COST_KINDS, endpoint, erased_costs};
pub use report::{Report, SubscriberView, csv};
pub use requests::{EndpointView, RequestsView};
pub use sketch::{Sketch, Summary};
pub use slo::{AlertView, ObjectiveView};
pub use streaming::{StreamingView, StreamsView};
pub use telemetry::{Error, Telemetry, TelemetryOptions};
pub use timing::{Attributes, Span, Spent, Timeline, Timing};
pub use tracker::Told;
pub use work::WorkView;
