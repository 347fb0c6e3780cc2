//! One seed, told as a story.

use std::process::ExitCode;

use constellation_testkit::leases::{Hit, Scenario, run, run_traced, shrink};

use crate::Args;

pub(crate) fn play(args: &Args, seed: u64) -> ExitCode {
    let mut scenario = Scenario::drawn(seed);
    if args.shrink {
        scenario = shrink(&scenario, args.mutation);
    }
    println!("{:?}", scenario.setting);
    let report = if args.trace {
        run_traced(&scenario, args.mutation, &mut |line| println!("{line}"))
    } else {
        run(&scenario, args.mutation)
    };
    println!("faults:");
    for planned in &scenario.faults {
        println!("  {planned}");
    }
    let tenures = report.coverage.count(Hit::Granted);
    println!("{} steps, {tenures} grants, digest {:016x}", report.steps, report.digest);
    match report.violation {
        None => {
            println!("held; settled {:?} after mending", report.settled_after.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("broken at {:.4} s: {violation}", report.at.as_secs_f64());
            ExitCode::FAILURE
        }
    }
}
