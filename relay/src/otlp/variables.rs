//! Pure: what OpenTelemetry's standard variables ask of this program.
//!
//! Exporting is off unless a variable asks for it. What cannot be honoured is a warning and no failure: telemetry that was
//! described wrongly must not keep events from moving.

use std::path::PathBuf;
use std::time::Duration;

/// As the specification has it.
const TIMEOUT: Duration = Duration::from_secs(10);
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whether and how to export.
    pub(super) export: Option<Export>,
    /// What was asked for and is not done.
    pub(super) warnings: Vec<String>,
}

/// How to export; endpoint, headers, compression, sampler and queue are read by the exporter itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Export {
    /// Bounds one export, all its attempts included.
    pub(super) timeout: Duration,
    /// Certificates to trust instead of the usual ones.
    pub(super) certificate: Option<PathBuf>,
    /// Whether a variable names the service.
    pub(super) service_is_named: bool,
}

/// Reads the variables. Empty ones count as absent.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Wanted {
    let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let of_traces = |name: &str| {
        get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
            .or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let mut wanted = Wanted::default();
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return wanted;
    }
    let exporters = get("OTEL_TRACES_EXPORTER");
    let named: Vec<&str> = exporters
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    for other in named.iter().filter(|name| !matches!(**name, "otlp" | "none")) {
        let warning = format!("OTEL_TRACES_EXPORTER: {other} is not known here, only otlp and none");
        wanted.warnings.push(warning);
    }
    let is_asked = match exporters {
        Some(_) => named.contains(&"otlp"),
        None => of_traces("ENDPOINT").is_some(),
    };
    if !is_asked {
        return wanted;
    }
    if let Some(protocol) = of_traces("PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
        wanted.warnings.push(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: spans are not exported, this program speaks http/protobuf only; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces"
        ));
        return wanted;
    }
    if let Some(sampler) = get("OTEL_TRACES_SAMPLER").filter(|name| !SAMPLERS.contains(&name.as_str())) {
        wanted.warnings.push(format!(
            "OTEL_TRACES_SAMPLER: {sampler} is not known here, parentbased_always_on is used; known are {}",
            SAMPLERS.join(", ")
        ));
    }
    if of_traces("CLIENT_KEY")
        .or_else(|| of_traces("CLIENT_CERTIFICATE"))
        .is_some()
    {
        let warning =
            "OTEL_EXPORTER_OTLP_CLIENT_KEY and _CERTIFICATE: certificates of clients are not supported";
        wanted.warnings.push(warning.to_owned());
    }
    let timeout = of_traces("TIMEOUT").and_then(|milliseconds| milliseconds.trim().parse().ok());
    wanted.export = Some(Export {
        timeout: timeout.map_or(TIMEOUT, Duration::from_millis),
        certificate: of_traces("CERTIFICATE").map(PathBuf::from),
        service_is_named: get("OTEL_SERVICE_NAME").is_some()
            || get("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|list| list.contains("service.name=")),
    });
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Wanted {
        read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn it_is_off_until_somebody_asks() {
        assert_eq!(of(&[]), Wanted::default());
        assert_eq!(of(&[("OTEL_SERVICE_NAME", "shop")]), Wanted::default());
        assert!(of(&[ENDPOINT]).export.is_some());
        assert!(of(&[("OTEL_TRACES_EXPORTER", "otlp")]).export.is_some());
        let only_traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://collector:4318/v1/traces",
        );
        assert!(of(&[only_traces]).export.is_some());
    }

    #[test]
    fn off_is_said_in_three_ways() {
        assert_eq!(of(&[ENDPOINT, ("OTEL_SDK_DISABLED", "True")]), Wanted::default());
        assert_eq!(
            of(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]),
            Wanted::default()
        );
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Wanted::default());
        assert!(of(&[ENDPOINT, ("OTEL_SDK_DISABLED", "no")]).export.is_some());
    }

    #[test]
    fn what_is_not_spoken_here_is_said_and_off() {
        let grpc = of(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(
            grpc.export.is_none() && grpc.warnings[0].contains("4318"),
            "{grpc:?}"
        );
        let both = of(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ]);
        assert!(both.export.is_some() && both.warnings.is_empty(), "{both:?}");
        let console = of(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "console")]);
        assert!(
            console.export.is_none() && console.warnings.len() == 1,
            "{console:?}"
        );
        let sampler = of(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "jaeger_remote")]);
        assert!(
            sampler.export.is_some() && sampler.warnings.len() == 1,
            "{sampler:?}"
        );
    }

    #[test]
    fn what_is_set_for_traces_goes_before_what_is_set_for_all() {
        let wanted = of(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=shop"),
        ]);
        let expected = Export {
            timeout: Duration::from_millis(250),
            certificate: Some(PathBuf::from("/ca.pem")),
            service_is_named: true,
        };
        assert_eq!(wanted.export, Some(expected));
    }
}
