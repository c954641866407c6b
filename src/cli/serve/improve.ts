/** heed improve: from feedback of a chat app to a better model in GGUF. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { importTools } from '../../feedback/transfer/tools.ts';
import { writeFileAtomic } from '../../files.ts';
import { GGUF_DTYPES, type GgufDtype } from '../../lm/gguf/blocks.ts';
import { loadModel } from '../../lm/model.ts';
import { parseOptions } from '../../options.ts';
import { type ImproveInput, improveModel, improvementReport } from '../../serve/learn/improve.ts';
import { learnMethods } from '../../serve/learn/policy.ts';
import { servedName } from '../../serve/serve.ts';
import { writeModel } from '../models/export.ts';
import { DEFAULT_STORE } from '../people/store.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { logNote } from '../program/log.ts';
import { createOutput, table } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';

interface Flags {
  model: string;
  feedback: string;
  out: string;
  from?: ImproveInput['from'];
  store: string;
  method: (typeof learnMethods)[number];
  training: string;
  heldOut: string;
  seed: string;
  dtype: GgufDtype;
  json?: boolean;
}

/** Adds the flags and the action of `improve`. */
export function addImprove(command: Command): void {
  command
    .requiredOption('--model <model>', 'folder or GGUF file of a model, or OWNER/NAME on the Hub')
    .requiredOption('--feedback <what>', 'file, folder, address or project of --store with feedback')
    .requiredOption('--out <dir>', 'folder for the run, the report, and the new model')
    .addOption(
      new Option('--from <tool>', 'what wrote the file (default: rows with labels or pairs)').choices([...importTools]),
    )
    .option('--store <address>', 'store with the project', DEFAULT_STORE)
    .addOption(
      new Option('--method <method>', 'how to train; auto: dpo if most are choices and corrections, else kto')
        .choices([...learnMethods])
        .default('auto'),
    )
    .option('--training <json>', 'settings of the training, such as {"learningRate": 1e-5, "epochs": 1}', '{}')
    .option('--held-out <share>', 'share of people, or of conversations, that measure the new model', '0.2')
    .option('--seed <n>', 'seed of the split, the training and the examples', '0')
    .addOption(new Option('--dtype <dtype>', 'data type of the GGUF file').choices([...GGUF_DTYPES]).default('Q8_0'))
    .action((flags: Flags) => improving(flags));
}

const numbersSchema = z.object({ heldOut: z.coerce.number().min(0.05).max(0.9), seed: z.coerce.number().int().min(0) });

async function improving(flags: Flags): Promise<void> {
  const { model, feedback, from, store, method, out, dtype } = flags;
  const { heldOut, seed } = parseOptions(numbersSchema, { heldOut: flags.heldOut, seed: flags.seed });
  const output = createOutput(flags);
  const isFile = from !== undefined || existsSync(feedback);
  const interrupted = listenForInterrupt(logNote, 'Stopping. Run the same command again to continue.');
  try {
    const improvement = await improveModel({
      model,
      out,
      seed,
      store,
      ...(isFile ? { feedback, from } : { project: feedback }),
      policy: { method, heldOut, training: settingsIn(flags.training) },
      onNotice: logNote,
      signal: interrupted.signal,
    });
    const { gate, judgments } = improvement;
    const report = join(out, 'report.md');
    writeFileAtomic(report, improvementReport(model, improvement));
    const isBetter = gate.verdict === 'better';
    const name = `${servedName(model)}-improved`;
    if (isBetter) {
      const better = await loadModel(improvement.model);
      writeModel(better, { out, format: 'gguf', dtype, name });
      better.parameters[Symbol.dispose]();
    }
    const { share, interval } = gate.agreement;
    output.say(
      table([
        ['verdict', gate.verdict],
        ['learned from', `${judgments.rated} ratings, ${judgments.chosen} pairs`],
        [
          'agreement',
          `${share.toFixed(3)} (${interval.map((bound) => bound.toFixed(3)).join(' to ')}) of ${judgments.heldOut} held-out judgments`,
        ],
        ['report', report],
        isBetter
          ? ['use it', `ollama create ${name} -f ${join(out, 'Modelfile')}`]
          : ['use it anyway', `heed export --model ${improvement.model} --format gguf --out ${out}`],
      ]),
    );
    output.result({ ...improvement, report });
  } finally {
    interrupted.dispose();
  }
}

function settingsIn(text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new UsageError(`--training: expected a JSON object, got "${text}"`, {
      hint: 'Write it as --training \'{"learningRate": 1e-5}\'',
    });
  }
}
