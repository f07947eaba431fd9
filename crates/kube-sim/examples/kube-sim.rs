//! Runs simulated clusters until interrupted and writes their kubeconfigs: `kube-sim DIR NAME...`.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(dir) = arguments.next().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    let Ok(simulator) = kube_sim::Simulator::bind(([127, 0, 0, 1], 0).into()).await else {
        return ExitCode::FAILURE;
    };
    for name in arguments {
        let cluster = simulator.add_cluster(&name);
        if std::fs::write(dir.join(format!("{name}.kubeconfig")), cluster.kubeconfig()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    simulator.run(CancellationToken::new()).await;
    ExitCode::SUCCESS
}
