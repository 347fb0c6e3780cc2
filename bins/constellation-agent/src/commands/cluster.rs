//! The verbs around a cluster: founding, joining, looking, handing over, beginning again.

use std::{
    fmt::Write as _,
    io::{BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use constellation_api::{Client, LeaseRow, Leases, RaftMember, RaftStatus, cluster::TokenRequest};
use constellation_consensus::transport::{JoinAsk, JoinPatience, JoinToken, NodeKey, join};
use constellation_core::Clock as _;
use constellation_security::{Replace, write_secret};
use constellation_tasks::SystemClock;
use zeroize::Zeroizing;

use super::{print, print_json, table};
use crate::{
    cli::{
        AskArgs, BackupArgs, FolderArgs, InitArgs, JoinArgs, LeasesArgs, RaftCommand, RaftNodeArgs,
        RecoverArgs, RestoreArgs, TokenArgs,
    },
    cluster::{
        files::ClusterFiles,
        found::{Founding, found},
        join as joining, obituary, rescue,
    },
    config,
};

/// The longest token that is read from standard input.
const TOKEN_BYTES_MAX: u64 = 4096;

fn files(folders: &FolderArgs) -> ClusterFiles {
    ClusterFiles::new(&folders.data_dir, &folders.secrets_path)
}

pub(super) fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let files = files(&args.place.folders);
    let founding = Founding {
        cluster: args.cluster.clone(),
        node: args.place.node()?,
        address: args.place.address()?,
        settings: config::settings(args.profile, args.ttl)?,
    };
    let founded = found(&files, &founding, SystemClock::start().wall())?;
    if args.json {
        print_json(&serde_json::json!({
            "cluster": founding.cluster,
            "node": founding.node,
            "address": founding.address,
            "authority": founded.fingerprint.to_string(),
            "gossip_key_made": founded.made_gossip_key,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{} has founded the cluster `{}`.\nauthority   {} (SHA-256 of its certificate)\n",
        founding.node, founding.cluster, founded.fingerprint
    );
    writeln!(
        text,
        "its key     {}: keep a copy where no machine of the cluster is",
        files.authority_path().display()
    )?;
    if founded.made_gossip_key {
        writeln!(text, "gossip key  {}: nodes that join are given it", files.gossip_path().display())?;
    }
    write!(
        text,
        "next        start it with `constellation-agent run`, then `constellation-agent token` for each node that is to join"
    )?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn token(args: TokenArgs) -> anyhow::Result<ExitCode> {
    let request =
        TokenRequest { expires_seconds: args.expires.as_secs().max(1), authority: !args.without_authority };
    let made = Client::new(&args.ask.socket).token(request).await?;
    if args.ask.json {
        print_json(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&made.token)?;
    if std::io::stdout().is_terminal() {
        eprintln!(
            "good for one node and {}: `constellation-agent join -` there reads it from standard input",
            humantime::format_duration(Duration::from_secs(args.expires.as_secs()))
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn read_token(given: &str) -> anyhow::Result<JoinToken> {
    let text = if given == "-" {
        let mut line = Zeroizing::new(String::new());
        let mut input = std::io::Read::take(std::io::stdin().lock(), TOKEN_BYTES_MAX);
        input.read_line(&mut line).context("could not read the token from standard input")?;
        line
    } else {
        Zeroizing::new(given.to_owned())
    };
    Ok(text.parse()?)
}

pub(super) async fn join_cluster(args: JoinArgs) -> anyhow::Result<ExitCode> {
    let files = files(&args.place.folders);
    let token = read_token(&args.token)?;
    let ask = JoinAsk {
        node: args.place.node()?,
        address: args.place.address()?,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        key: NodeKey::generate()?,
    };
    let mut moved = None;
    if args.start_over && files.raft().try_exists().unwrap_or(true) {
        // Whoever runs it still has the folder's lock.
        drop(constellation_consensus::storage::Directory::open(&files.raft())?);
        moved = Some(files.set_aside()?);
    }
    joining::check(&files)?;
    let joined = join(&token, &ask, &JoinPatience::default()).await?;
    let identity = joining::keep(&files, &joined)?;
    if args.json {
        print_json(&serde_json::json!({
            "cluster": identity.owner.cluster,
            "node": identity.owner.node,
            "id": identity.owner.id,
            "epoch": identity.epoch,
            "lets_in": joined.authority.is_some(),
            "moved_aside": moved,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{} has joined the cluster `{}` as {}, with {}.\n",
        identity.owner.node,
        identity.owner.cluster,
        joining::place(joined.id, ask.address),
        joining::company(&joined)
    );
    if let Some(moved) = moved {
        writeln!(text, "moved       what was left of its earlier membership to {}", moved.display())?;
    }
    let lets_in = if joined.authority.is_some() { "can" } else { "cannot" };
    write!(
        text,
        "authority   it {lets_in} let other nodes in\nnext        start it with `constellation-agent run`"
    )?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn leases(args: LeasesArgs) -> anyhow::Result<ExitCode> {
    let leases = Client::new(&args.ask.socket).leases(args.fresh).await?;
    if args.ask.json {
        print_json(&leases)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&lease_text(&leases)?)?;
    Ok(ExitCode::SUCCESS)
}

fn lease_text(leases: &Leases) -> anyhow::Result<String> {
    if !leases.member {
        return Ok(
            "this node is no member of a cluster, so it knows no leases (`constellation-agent raft status`)"
                .to_owned(),
        );
    }
    let mut all = table(["LEASE", "HOLDER", "TOKEN", "REMAINING"]);
    for row in &leases.leases {
        all.add_row([row.lease.to_string(), holder(row), row.token.to_string(), remaining(row)]);
    }
    let leader = leases.leader.as_ref().map_or("nobody", |leader| leader.as_str());
    let mut text = format!(
        "{all}\n\n{leader} leads Raft; this node ({}) has applied entry {} of epoch {}",
        leases.node, leases.applied, leases.epoch
    );
    if leases.history.is_empty() {
        return Ok(text);
    }
    let mut history = table(["ENTRY", "LEASE", "WHAT", "NODE", "TOKEN"]);
    for change in leases.history.iter().rev().take(20) {
        history.add_row([
            change.index.to_string(),
            change.lease.to_string(),
            change.deed.clone(),
            change.node.to_string(),
            change.token.to_string(),
        ]);
    }
    write!(text, "\n\nwhat happened, the latest first\n{history}")?;
    Ok(text)
}

fn holder(row: &LeaseRow) -> String {
    match (&row.holder, &row.reserved_for) {
        (Some(holder), _) if row.mine => format!("{holder} (this node)"),
        (Some(holder), _) => holder.to_string(),
        (None, Some(heir)) => format!("nobody, kept for {heir}"),
        (None, None) => "nobody".to_owned(),
    }
}

fn remaining(row: &LeaseRow) -> String {
    match row.remaining_ms {
        Some(millis) => format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()),
        // Only the holder counts; the others hear of the end.
        None => "-".to_owned(),
    }
}

pub(super) async fn raft(command: RaftCommand) -> anyhow::Result<ExitCode> {
    match command {
        RaftCommand::Status(ask) => status(&ask).await?,
        RaftCommand::Voters(ask) => voters(&ask).await?,
        RaftCommand::Transfer(RaftNodeArgs { node, ask }) => {
            Client::new(&ask.socket).transfer(&node).await?;
            done(&ask, &format!("{node} leads"))?;
        }
        RaftCommand::Remove(RaftNodeArgs { node, ask }) => {
            Client::new(&ask.socket).remove_member(&node).await?;
            done(&ask, &format!("{node} is no member any more; it comes back only by joining again"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn done(ask: &AskArgs, what: &str) -> anyhow::Result<()> {
    if ask.json { print_json(&serde_json::json!({ "done": what })) } else { print(what) }
}

async fn status(ask: &AskArgs) -> anyhow::Result<()> {
    let status = Client::new(&ask.socket).raft().await?;
    if ask.json {
        return print_json(&status);
    }
    if let Some(why) = &status.why_not {
        return print(why);
    }
    let leader = status.leader.as_ref().map_or("nobody", |leader| leader.as_str());
    let mut text = format!(
        "node        {} (id {}) of {}, epoch {}\nrole        {} in term {}; {leader} leads\n",
        status.node, status.id, status.cluster, status.epoch, status.role, status.term
    );
    writeln!(text, "log         committed {}, applied {}", status.commit, status.applied)?;
    writeln!(text, "timing      {}; a lease lasts {} ms without renewal", status.profile, status.ttl_ms)?;
    let signs = if status.signs { "can" } else { "cannot" };
    writeln!(text, "authority   this node {signs} let others in")?;
    write!(text, "members\n{}", member_table(&status))?;
    print(&text)
}

async fn voters(ask: &AskArgs) -> anyhow::Result<()> {
    let status = Client::new(&ask.socket).raft().await?;
    if ask.json {
        return print_json(&status.members);
    }
    match &status.why_not {
        Some(why) => print(why),
        None => print(&member_table(&status)),
    }
}

fn member_table(status: &RaftStatus) -> String {
    let mut all = table(["NODE", "ID", "SEAT", "ADDRESS", "CONNECTED", "ROUND TRIP", "LOG"]);
    for member in &status.members {
        let RaftMember { id, node, address, seat, connected, round_trip_ms, matched, last_error: _ } = member;
        let name = node.as_ref().map_or("?", |node| node.as_str());
        let leads = node.is_some() && *node == status.leader;
        all.add_row([
            if leads { format!("{name} (leads)") } else { name.to_owned() },
            id.to_string(),
            seat.clone(),
            address.clone().unwrap_or_else(|| "?".to_owned()),
            if *connected { "yes" } else { "no" }.to_owned(),
            round_trip_ms.map_or("-".to_owned(), |millis| format!("{millis} ms")),
            matched.map_or("-".to_owned(), |index| index.to_string()),
        ]);
    }
    all.to_string()
}

pub(super) async fn cordon(ask: AskArgs, cordoned: bool) -> anyhow::Result<ExitCode> {
    Client::new(&ask.socket).cordon(cordoned).await?;
    let what = if cordoned {
        "this node is cordoned: it holds no lease, and other nodes are preferred until `uncordon`"
    } else {
        "this node is not cordoned any more"
    };
    done(&ask, what)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.out.exists(), "{} exists: a backup is never written over", args.out.display());
    let bytes = Zeroizing::new(Client::new(&args.ask.socket).backup().await?.to_vec());
    write_secret(&args.out, &bytes, Replace::No)?;
    let facts: serde_json::Value = serde_json::from_slice(&bytes)?;
    if args.ask.json {
        let shown = ["cluster", "epoch", "node", "taken", "applied", "confirmed"];
        let shown: serde_json::Map<_, _> =
            shown.iter().map(|key| ((*key).to_owned(), facts[*key].clone())).collect();
        print_json(&shown)?;
    } else {
        print(&format!(
            "wrote {}: it holds every secret of the cluster, so keep it like one",
            args.out.display()
        ))?;
    }
    if facts["confirmed"] != true {
        eprintln!(
            "warning: no majority is in reach, so this is what this node knows, and others may know more"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks a person. Without one the answer is no.
fn agreed(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "nobody is there to be asked: read what is above, and say --yes if it is what you want"
    );
    eprint!("{question} Type yes to go on: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    eprintln!(
        "This begins the cluster anew on this node alone. If any member of the old one still runs, or could come back, use \
         `recover` there instead: the two would both give out leases."
    );
    if !agreed("Are all members of the old cluster gone for good?", args.yes)? {
        print("nothing was changed")?;
        return Ok(ExitCode::FAILURE);
    }
    let (node, address) = (args.place.node()?, args.place.address()?);
    let files = files(&args.place.folders);
    let (identity, backup) =
        rescue::restore(&files, &args.file, &node, address, SystemClock::start().wall())?;
    print(&format!(
        "{node} has begun epoch {} of the cluster `{}` from what {} knew (entry {}).\nnext        start it with \
         `constellation-agent run`, then `constellation-agent token` for each node that is to join",
        identity.epoch, identity.owner.cluster, backup.node, backup.applied
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn recover(args: &RecoverArgs) -> anyhow::Result<ExitCode> {
    let files = files(&args.folders);
    let survivor = rescue::survivor(&files)?;
    let others =
        if survivor.others.is_empty() { "nobody else".to_owned() } else { survivor.others.join(", ") };
    eprintln!(
        "{} would begin epoch {} of its cluster alone, with its log up to entry {}.\nMembers so far: {others}. None of them is \
         a member any more after this; each must be stopped now, and joins again with a token\n(`constellation-agent join \
         --start-over`). If a majority of the voters can still come back, bring it back instead.",
        survivor.identity.owner,
        survivor.identity.epoch + 1,
        survivor.last_index
    );
    if survivor.taken_over > 0 {
        eprintln!(
            "{} entries are taken over although this node did not know them to be committed: they may have been.",
            survivor.taken_over
        );
    }
    if !agreed("Are all the others stopped, and is a majority of the voters lost for good?", args.yes)? {
        print("nothing was changed")?;
        return Ok(ExitCode::FAILURE);
    }
    let identity = survivor.recover(&files)?;
    print(&format!(
        "{} is the only member of epoch {}.\nnext        start it with `constellation-agent run`, then \
         `constellation-agent token` for each node that is to join",
        identity.owner, identity.epoch
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn tell_of_last(folders: FolderArgs) -> anyhow::Result<ExitCode> {
    match obituary::tell_of_last(&files(&folders)).await? {
        Some(heard) => print(&format!("{} of {} members were told", heard.heard, heard.of))?,
        None => print("this node was no member, so there is nobody to tell")?,
    }
    Ok(ExitCode::SUCCESS)
}
