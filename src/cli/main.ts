/** The `heed` command: each subcommand parses, calls the library and prints. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { HeedError } from '../error.ts';
import { addChat } from './chat.ts';
import { addData } from './data.ts';
import { addDoctor } from './doctor.ts';
import { addExport } from './export.ts';
import { addGenerate } from './generate.ts';
import { addLogprobs } from './logprobs.ts';
import { addPretrain } from './pretrain.ts';
import { addPull } from './pull.ts';
import { addReport } from './report.ts';
import { addRl } from './rl.ts';
import { addSft } from './sft.ts';
import { addTrain } from './train.ts';
import { UsageError } from './usage.ts';

const commands: [name: string, description: string, add: (command: Command) => void, example: string][] = [
  [
    'train',
    "learn from preferences: a teacher compares clips, and the agent never sees the environment's reward",
    addTrain,
    `Settings known to work for an environment apply under what you give.

Examples:
  heed train --env CartPole-v1
  heed train --env LunarLander-v3 --labels 500 --teacher mistake:0.1 --query random --seed 1
  heed train --resume runs/20260102-030405-CartPole-v1`,
  ],
  [
    'rl',
    "PPO on the environment's own reward",
    addRl,
    `Settings known to work for an environment apply under what you give.

Examples:
  heed rl --env CartPole-v1
  heed rl --env Pendulum-v1 --steps 100000 --ppo.learningRate 1e-3 --out runs/pendulum`,
  ],
  [
    'generate',
    'answer prompts with a language model',
    addGenerate,
    `One answer is written as it comes; several when all are done.

Examples:
  heed generate --model models/tiny --prompt "Once upon a time" --max-tokens 60 --temperature 0.8
  heed generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?"
  heed generate --model models/tiny --data prompts.jsonl --topP 0.9 --seed 1 --json`,
  ],
  [
    'chat',
    'talk with a language model',
    addChat,
    `/help in the conversation says what there is besides talking.

Examples:
  heed chat --model HuggingFaceTB/SmolLM2-135M-Instruct
  heed chat --model models/tiny --system "You are a pirate." --temperature 0.9`,
  ],
  [
    'logprobs',
    'what a language model thinks of a text, token by token',
    addLogprobs,
    `The log-probability of a token is given for those before it, so the first has none: with --json, logprobs[i] is that of
ids[i + 1], and logits[i] are those behind ids[i].

Examples:
  heed logprobs --model models/tiny --text "Once upon a time"
  heed logprobs --model models/tiny --ids 1,403,407 --logits --json`,
  ],
  [
    'sft',
    'fine-tune a language model on texts, conversations, or prompts with completions',
    addSft,
    `Without --model and --data, the tiny model that comes with heed learns to answer from demonstrations of its own world.
The run's folder gets the last model in model/ and the best in best/, as Hugging Face folders.

Examples:
  heed sft --model HuggingFaceTB/SmolLM2-135M --data demonstrations.jsonl
  heed sft --model models/tiny --data chats.parquet --evaluation.data held-out.jsonl --epochs 2 --out runs/chat
  heed sft --resume runs/20260102-030405-tiny-sft`,
  ],
  [
    'pretrain',
    'train a new language model from text',
    addPretrain,
    `Without --data, it learns the embedded world's reviews of places, whose entropy is known: the model that comes with heed.

Examples:
  heed pretrain --out runs/base
  heed pretrain --data "books/*.jsonl" --vocabulary 8192 --hidden 256 --layers 6 --heads 8 --feedForward 688 --length 256 --maxPositions 256
  heed pretrain --resume runs/20260102-030405-reviews-pretrain`,
  ],
  [
    'pull',
    'get a model or dataset from the Hub',
    addPull,
    `What heed does not read (other formats of the weights, say) is left out, unless --include asks for it. What is there already
is kept, and what was cut goes on where it stopped. The cache is that of Python's huggingface_hub.
HF_HOME or HF_HUB_CACHE says where, HF_ENDPOINT which Hub, HF_TOKEN who asks; HF_HUB_OFFLINE=1 asks nobody.

Examples:
  heed pull HuggingFaceTB/SmolLM2-135M-Instruct
  heed pull Qwen/Qwen2.5-0.5B@main --exclude "*.txt"
  heed pull Anthropic/hh-rlhf --dataset --include "harmless-base/*"`,
  ],
  [
    'data',
    'look at, check, convert and split datasets',
    addData,
    `FILE is a .jsonl, .json, .csv, .tsv (each also .gz) or .parquet file, a folder of them, or a pattern; several are one dataset.

Examples:
  heed data inspect train.jsonl --tokenizer models/tiny
  heed data check test.parquet --against train.parquet
  heed data convert "hh/*.jsonl.gz" --to unpaired-preference --out hh.parquet
  heed data split reviews.csv --test 0.1 --by prompt --out reviews`,
  ],
  [
    'export',
    'write a model as an ONNX graph, or as a Hugging Face folder with an adapter merged in',
    addExport,
    `model.onnx takes input_ids and attention_mask [batch, time] and gives logits; ONNX Runtime runs it in any language.

Examples:
  heed export --model runs/sft/model --out onnx
  heed export --model models/base --adapter runs/sft/model --format safetensors --dtype BF16 --out merged`,
  ],
  [
    'report',
    "write a run's report.html again and print its address",
    addReport,
    'Example:\n  heed report runs/20260102-030405-CartPole-v1',
  ],
  ['doctor', 'check Node, the engine, its speed, memory and disk', addDoctor, 'Example:\n  heed doctor'],
];

/** Runs one command line (without node and script) and gives the exit code: 0, 1 failed, 2 bad usage, 130 interrupted. */
export async function main(args: readonly string[]): Promise<number> {
  process.exitCode = 0;
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const program = new Command('heed')
    .description('Learn from human feedback.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)');
  for (const [name, description, add, example] of commands) {
    const command = program.command(name).description(description).allowExcessArguments(false);
    add(command);
    command.addHelpText('after', `\n${example}`);
    for (const runs of command.commands.length > 0 ? command.commands : [command]) {
      runs
        .optionsGroup('Output:')
        .option('--json', 'the last line on stdout is one JSON object with the result, everything else goes to stderr')
        .option('--verbose', 'show where in the code an error came from');
    }
  }
  // whoever reads may stop reading: `heed … | head`
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode);
  } catch (error) {
    return complain(error, args.includes('--verbose'));
  }
}

function complain(error: unknown, verbose: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said it
  const known = error instanceof HeedError;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error: ${known ? message : `unexpected: ${message}`}\n`);
  if (known && error.hint) process.stderr.write(`${error.hint}\n`);
  if (verbose) process.stderr.write(`${trail(error)}\n`);
  else if (!known) process.stderr.write('This is a fault of heed. --verbose shows where.\n');
  return error instanceof UsageError ? 2 : 1;
}

/** The stack of an error and of what caused it. */
function trail(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause ? `${error.stack}\ncaused by ${trail(error.cause)}` : String(error.stack);
}
