/** Writes what a trainer needs of a stage into the run's folder: data, configuration, launch script, heed's programs. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { onDisk, writeFileAtomic } from '../../files.ts';
import { withChatTemplate } from '../../lm/built-in-templates.ts';
import { isEmbedded } from '../../lm/embedded.ts';
import { isGguf } from '../../lm/gguf/file.ts';
import { hubName, type PullOptions } from '../../lm/hub.ts';
import { baseFolder, modelFolder } from '../../lm/model.ts';
import { loadTokenizer } from '../../lm/tokenizer.ts';
import { ORDER, TRAINER, type TrainerOrder } from '../job.ts';
import { trainerRows } from './data.ts';
import type { JobInputs, JobSettings } from './trainer.ts';
import { type TrainerStage, translate } from './translate.ts';

/** How the files of a stage are written. */
export interface TrainerFileParts {
  /** How data are fetched from the Hub. */
  pull?: PullOptions;
  /** Called with notices about the data. */
  onNotice?: (text: string) => void;
}

const [TRAIN, HELD_OUT, TEMPLATE] = ['data/train.jsonl', 'data/eval.jsonl', 'chat_template.jinja'];
const programs = fileURLToPath(new URL('./python/', import.meta.url));

/**
 * Writes the files of a stage into `folder/trainer`, in place of those of an earlier try, and returns what its job needs
 * besides. Everything in it can be read, and run by hand: `HEED_OUT=out HEED_PYTHON=python3 sh launch.sh`.
 *
 * @throws HeedError for settings without an equivalent, and for data and models that the trainer cannot take.
 */
export async function writeTrainerFiles(
  folder: string,
  stage: TrainerStage,
  { pull, onNotice }: TrainerFileParts = {},
): Promise<TrainerOrder> {
  const { trainer, task, job, theirs } = translate(stage);
  const inputs: Record<string, string> = {};
  const model = await inputOf('model', job, inputs);
  const rows = await trainerRows(stage.on, job, { pull, onNotice });
  const template = await templateOf(job, rows.conversational, onNotice);
  const jobInputs: JobInputs = {
    model,
    reference: job.get('reference') === undefined ? undefined : await inputOf('reference', job, inputs),
    reward: job.get('reward') === undefined ? undefined : await inputOf('reward', job, inputs),
    critic: job.get('critic.model') === undefined ? undefined : await inputOf('critic.model', job, inputs),
    train: TRAIN,
    heldOut: rows.heldOut.length > 0 ? HELD_OUT : undefined,
    chatTemplate: template === undefined ? undefined : { path: TEMPLATE, text: template },
    conversational: rows.conversational,
  };
  const files = trainer.write(theirs, { ...job, evaluates: rows.heldOut.length > 0 }, jobInputs);
  const order = {
    on: stage.on,
    package: trainer.package,
    versions: trainer.versions,
    model: trainer.modelAt(job),
    metrics: { from: trainer.metricsFrom, stepsPer: task.stepsPer?.(job) ?? 1, names: task.metrics },
  };
  const to = join(folder, TRAINER);
  onDisk('write', to, () => {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(join(to, 'data'), { recursive: true });
    writeRows(join(to, TRAIN), rows.train);
    if (jobInputs.heldOut) writeRows(join(to, HELD_OUT), rows.heldOut);
    if (template !== undefined) writeFileSync(join(to, TEMPLATE), template);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(to, name), text);
    for (const name of readdirSync(programs)) writeFileSync(join(to, name), readFileSync(join(programs, name)));
    if (/^https?:/.test(jobInputs.reward ?? '')) {
      const [timeout, retries, pause] = ['timeout', 'retries', 'pause'].map((name) => job.get(`rewardCall.${name}`));
      writeFileSync(join(to, 'reward.json'), JSON.stringify({ url: jobInputs.reward, timeout, retries, pause }));
    }
    writeFileSync(join(to, ORDER), `${JSON.stringify(order, null, 2)}\n`);
  });
  return { python: job.options.python, inputs, base: job.get<string>('model')! };
}

function writeRows(path: string, rows: readonly Row[]): void {
  writeFileAtomic(
    path,
    (function* () {
      for (const row of rows) yield Buffer.from(`${JSON.stringify(row)}\n`);
    })(),
  );
}

/** A model as the job names it: a folder here travels with the job; a name on the Hub, or a path of the nodes, stays. */
async function inputOf(path: string, job: JobSettings, inputs: Record<string, string>): Promise<string> {
  const name = job.get<string>(path)!;
  if (/^https?:/.test(name)) return name;
  if (!isEmbedded(name) && !existsSync(name)) {
    if (name.startsWith('/')) return name;
    const { name: repo, revision } = hubName(name) as { name: string; revision?: string };
    if (revision === undefined || revision === 'main') return repo;
    throw new HeedError(`settings.${path}: "${name}" names a revision, which trainers do not accept.`, {
      hint: 'Download it with "heed pull", and name the folder.',
    });
  }
  const folder = await modelFolder(name);
  if (isGguf(folder)) {
    throw new HeedError(`settings.${path}: "${name}" is a GGUF file, but a trainer reads folders of Transformers.`, {
      hint: `Write one with: heed export --model ${name} --format safetensors --out FOLDER`,
    });
  }
  if (await isAdapter(folder)) {
    throw new HeedError(`settings.${path}: "${name}" is an adapter, but a trainer needs whole weights.`, {
      hint: `Merge it with: heed export --model BASE --adapter ${name} --format safetensors --out MERGED`,
    });
  }
  // jobs of the cluster cannot see this machine's folders, unless they share one
  if (job.options.storage !== undefined && name.startsWith('/')) return name;
  const inJob = `inputs/${path.replace('.', '-')}`;
  inputs[inJob] = folder;
  return inJob;
}

const isAdapter = async (folder: string) =>
  existsSync(join(folder, 'adapter_config.json')) && (await baseFolder(folder)) !== undefined;

/** The text of the chat template: the one that is named, or for a model here that has none the one that heed uses. */
async function templateOf(
  job: JobSettings,
  conversational: boolean,
  onNotice?: (text: string) => void,
): Promise<string | undefined> {
  const named = job.get<string>('chatTemplate');
  if (named !== undefined && existsSync(named)) return readFileSync(named, 'utf8');
  const model = job.get<string>('model')!;
  const local = isEmbedded(model) || existsSync(model);
  if (!local) {
    if (named === undefined) return undefined;
    throw new HeedError(`settings.chatTemplate: "${named}" needs the tokenizer of a model on this machine.`, {
      hint: 'Name a file with the template, or a folder as the model.',
    });
  }
  const tokenizer = loadTokenizer(await modelFolder(model));
  if (named !== undefined) return withChatTemplate(tokenizer, { chatTemplate: named }).chatTemplate;
  if (!conversational || tokenizer.chatTemplate !== undefined) return undefined;
  return withChatTemplate(tokenizer, {}, onNotice).adoptTemplate?.();
}
