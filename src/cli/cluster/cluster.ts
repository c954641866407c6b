/** heed cluster: jobs on a Ray cluster. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Command } from 'commander';
import { runOrder } from '../../cluster/job.ts';
import { filesBelow, packageText, zipped } from '../../cluster/package.ts';
import {
  listJobs,
  listNodes,
  openRay,
  type RayJob,
  rayVersion,
  readJob,
  readLog,
  stopJob,
  submitJob,
  uploadPackage,
} from '../../cluster/ray.ts';
import { fetchRun, isOnCluster, remoteOf } from '../../cluster/remote.ts';
import { HeedError } from '../../error.ts';
import { lock } from '../../run/lock.ts';
import { duration } from '../../run/progress.ts';
import { isRun, readInfo, version } from '../../run/run.ts';
import { address, createOutput, table } from '../program/output.ts';
import { addAddress, addResourceOptions, type ResourceFlags } from './flags.ts';
import { follow, openCluster, resultOf, untilInterrupted } from './on-ray.ts';

interface Flags {
  address?: string;
  json?: boolean;
}

const say = (text: string) => void process.stderr.write(`${text}\n`);

export function addCluster(command: Command): void {
  addAddress(command.command('check').description('show the version and the nodes of the cluster')).action(check);
  addResourceOptions(
    command
      .command('submit')
      .description('run a shell command as a job')
      .argument('<command...>', 'the command and its arguments, after --')
      .option('--dir <dir>', 'folder that is sent, and that the command runs in'),
  ).action(submit);
  addAddress(command.command('list').description('list the jobs of the cluster')).action(list);
  addAddress(command.command('status').argument('<job>').description('show the state of a job')).action(status);
  addAddress(command.command('logs').argument('<job>').description('print the log of a job'))
    .option('--follow', 'keep printing until the job ends')
    .action(logs);
  addAddress(command.command('stop').argument('<job>').description('stop a job')).action(stop);
  addAddress(command.command('fetch').argument('<run>').description('copy what a run has made so far')).action(
    fetchHome,
  );
  addAddress(
    command.command('attach').argument('<run>').description('follow the job of a run again, until it ends'),
  ).action(attach);
  command.command('job', { hidden: true }).description('run the order in this folder, for jobs').action(job);
}

async function check(flags: Flags): Promise<void> {
  const ray = openRay({ address: flags.address, onWarning: say });
  const [version, nodes] = [await rayVersion(ray), await listNodes(ray)];
  const output = createOutput(flags);
  const rows = nodes.map(({ address, alive, head, cpus, gpus, memory }): [string, string] => [
    address,
    `${alive ? `${cpus} CPUs, ${gpus} GPUs, ${(memory / 1e9).toFixed(1)} GB` : 'lost'}${head ? ', head' : ''}`,
  ]);
  output.say(table([['address', ray.address], ['Ray', version], ...rows]));
  output.result({ address: ray.address, ray: version, nodes });
}

async function submit(
  words: string[],
  { dir, json, ...flags }: Flags & ResourceFlags & { dir?: string },
): Promise<void> {
  const ray = await openCluster(flags.address, { onWarning: say });
  const id = `heed-job-${randomBytes(4).toString('hex')}`;
  const runtimeEnv = { ...flags.runtimeEnv };
  if (dir !== undefined) {
    const files = new Map(filesBelow(dir).map((path) => [path.slice(dir.length).replace(/^[/\\]+/, ''), { path }]));
    runtimeEnv.working_dir = await uploadPackage(ray, packageText(files), () => zipped(files));
  }
  await submitJob(ray, { ...flags, id, entrypoint: words.join(' '), runtimeEnv });
  const output = createOutput({ json });
  output.say(`${id}\nFollow it with: heed cluster logs ${id} --follow`);
  output.result({ job: id });
}

const taken = ({ started, ended }: RayJob) =>
  started === undefined ? '' : `, ${duration(((ended ?? Date.now()) - started) / 1000)}`;

async function list(flags: Flags): Promise<void> {
  const jobs = await listJobs(await openCluster(flags.address, { onWarning: say }));
  const output = createOutput(flags);
  const rows = jobs.map((one): [string, string] => [
    one.id,
    `${one.status.padEnd(9)}${taken(one)}${one.metadata.run ? `, ${one.metadata.run}` : ''}`,
  ]);
  output.say(jobs.length > 0 ? table(rows) : 'The cluster has no jobs.');
  output.result({ jobs });
}

async function status(id: string, flags: Flags): Promise<void> {
  const found = await readJob(await openCluster(flags.address, { onWarning: say }), id);
  const output = createOutput(flags);
  const { status, message, exitCode, entrypoint } = found;
  output.say(
    table([
      ['status', `${status}${taken(found)}`],
      ['command', entrypoint],
      ...(exitCode === undefined ? [] : [['exit code', `${exitCode}`] as [string, string]]),
      ...(message ? [['Ray', message.split('\n')[0]] as [string, string]] : []),
    ]),
  );
  output.result(found);
}

const logs = (id: string, flags: Flags & { follow?: boolean }): Promise<void> =>
  untilInterrupted(async (signal) => {
    const ray = await openCluster(flags.address, { signal, onWarning: say });
    for await (const bytes of readLog(ray, id, { follow: flags.follow ?? false })) process.stdout.write(bytes);
  });

async function stop(id: string, flags: Flags): Promise<void> {
  const stopped = await stopJob(await openCluster(flags.address, { onWarning: say }), id);
  const output = createOutput(flags);
  output.say(stopped ? `The job ${id} is stopping.` : `The job ${id} had already ended.`);
  output.result({ job: id, stopped });
}

async function fetchHome(folder: string, flags: Flags): Promise<void> {
  const output = createOutput(flags);
  const at = unended(folder);
  const ray = await openCluster(flags.address ?? at, { onWarning: say });
  const release = lock(folder);
  try {
    const { job, end } = await fetchRun(ray, folder);
    if (end) resultOf(end, folder);
    output.say(
      table([
        ['job', `${job.id}: ${job.status}${taken(job)}`],
        ['run', folder],
      ]),
    );
    output.result({ run: folder, job: job.id, status: job.status });
  } finally {
    release();
  }
}

/** The address of the cluster of a run. @throws HeedError if everything has come home: what was done since stays. */
function unended(folder: string): string {
  const { address, job } = remoteOf(folder);
  if (isOnCluster(folder)) return address;
  throw new HeedError(`The job ${job} of "${folder}" has ended, and its results are on this machine.`);
}

async function attach(folder: string, flags: Flags): Promise<void> {
  if (isRun(folder) && ['sweep', 'ablate'].includes(readInfo(folder).command)) {
    const args = [readInfo(folder).command, '--resume', folder, '--on', 'ray'];
    if (flags.address !== undefined) args.push('--address', flags.address);
    const { status } = spawnSync(process.execPath, [process.argv[1], ...args], { stdio: 'inherit' });
    process.exitCode = status ?? 1;
    return;
  }
  const following = async (signal: AbortSignal) => {
    const at = unended(folder);
    const ray = await openCluster(flags.address ?? at, { signal, onWarning: say });
    const result = await follow(ray, folder, { onLine: say, onWarning: say });
    const output = createOutput(flags);
    output.say(
      table([
        ['run', folder],
        ['report', address(join(folder, 'report.html'))],
      ]),
    );
    output.result(result);
  };
  await untilInterrupted(following, `heed cluster attach ${folder}`);
}

async function job(): Promise<void> {
  const stopping = new AbortController();
  process.on('SIGTERM', () => stopping.abort());
  const write = (text: string) => void process.stdout.write(text);
  process.exitCode = await runOrder(process.argv[1], { version: version(), write, signal: stopping.signal });
}
