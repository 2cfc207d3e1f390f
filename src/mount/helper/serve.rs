use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use serde::Serialize;

use super::{Reply, Request, group, probe, space, unmount};

/// A request holds a few paths, or those of all targets of a pool.
const MAX_REQUEST: u64 = 16 << 20;

/// The child: answers the one request on standard input. Blocking, for ever if the mount hangs.
pub fn serve() -> ExitCode {
    let mut request = Vec::new();
    let read = io::stdin().lock().take(MAX_REQUEST).read_to_end(&mut request);
    let request = match read.map(|_| serde_json::from_slice(&request)) {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return refuse(&error),
        Err(error) => return refuse(&error),
    };
    let result = match request {
        Request::Probe { mount, graph } => {
            probe::probe(&mount, graph, &mut |finding| say(&Reply::Found(finding)));
            Ok(())
        }
        Request::Bind { bind, look } => {
            let answer = look.then(|| probe::look(&bind.mount));
            answer.into_iter().for_each(|answer| say(&Reply::Found(answer)));
            if answer.is_none_or(|answer| answer.result.is_ok()) { bind.carry_out() } else { Ok(()) }
        }
        Request::Rebind(rebind) => rebind.carry_out(&mut |rebound| say(&Reply::Found(rebound))),
        Request::Unmount { path, lazy } => unmount::unmount(&path, lazy),
        Request::Space { path } => space::space(&path).map(|space| say(&Reply::Found(space))),
        Request::Group { path, gid } => group::let_use(&path, gid),
    };
    say(&Reply::<()>::Done(result));
    ExitCode::SUCCESS
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "mount-helper: this is for the mount host, which has sent no request: {error}"
    );
    ExitCode::FAILURE
}

/// A line at once, so that what was found before a hang arrives. Without a reader there is nobody to tell.
fn say<F: Serialize>(reply: &Reply<F>) {
    let mut out = io::stdout().lock();
    let _ = serde_json::to_writer(&mut out, reply).map_err(io::Error::from).and_then(|()| {
        out.write_all(b"\n")?;
        out.flush()
    });
}
