/** The commands of `heed`: name, description, what adds flags and action (loaded on demand), examples, alias. */
import type { Command } from 'commander';
import type { TrainingRecord } from '../run/training-record.ts';

/** The groups of `heed --help`, with their commands. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'Agents:': ['train', 'rl', 'learn-reward', 'compare-rewards', 'watch', 'film', 'envs', 'sweep', 'ablate'],
  'Language models:': [
    ...['sft', 'dpo', 'reward', 'ppo', 'grpo', 'generate', 'chat', 'eval', 'pipeline', 'pull', 'plan', 'logprobs'],
    ...['distill', 'pretrain', 'process', 'rloo', 'reinforce', 'raft', 'rest', 'online-dpo', 'best-of-n', 'pareto'],
    ...['orpo', 'cpo', 'kto', 'bco', 'constitution', 'overoptimization'],
  ],
  'People:': ['studio', 'feedback'],
  'Serving:': ['serve', 'improve', 'env'],
  'Data:': ['data'],
  'Clusters:': ['cluster'],
};

/** The heading under which `heed --help` lists a command, and its place among all. */
export function placeInHelp(name: string): { group: string; index: number } {
  const group = Object.keys(groups).find((title) => groups[title].includes(name));
  const index = Object.values(groups).flat().indexOf(name);
  return { group: group ?? 'The rest:', index: index < 0 ? Number.POSITIVE_INFINITY : index };
}

/** A command that trains by a record, with nothing of its own. */
const training = (load: () => Promise<TrainingRecord>) => async (command: Command) =>
  (await import('./run/run-training.ts')).addTraining(command, await load());

/** A command that trains a policy, which people can teach. */
const policy = (load: () => Promise<TrainingRecord>) => async (command: Command) =>
  (await import('./language/policy.ts')).addPolicyTraining(command, await load());

export const commands: readonly [
  name: string,
  description: string,
  add: (command: Command) => Promise<void>,
  example: string,
  alias?: string,
][] = [
  [
    'train',
    "learn from preferences: a teacher compares clips, and the agent never sees the environment's reward",
    async (command) => (await import('./control/train.ts')).addTrain(command),
    `Environments with a preset start from its settings; flags override them.

Examples:
  heed train --env CartPole-v1
  heed train --env LunarLander-v3 --labels 500 --teacher mistake:0.1 --query random --seed 1
  heed train --env CartPole-v1 --teacher human --labels 30
  heed train --algorithm pebble --env HalfCheetah-v5
  heed train --resume runs/20260102-030405-CartPole-v1`,
  ],
  [
    'rl',
    "learn from the environment's own reward or a learned one: PPO, A2C, TRPO or SAC",
    async (command) => (await import('./control/train.ts')).addRl(command),
    `Environments with a preset start from its settings; flags override them.

Examples:
  heed rl --env CartPole-v1
  heed rl --env Pendulum-v1 --steps 100000 --ppo.learning-rate 1e-3 --out runs/pendulum
  heed rl --algorithm sac --env Pendulum-v1 --sac.hidden 64,64
  heed rl --env CartPole-v1 --reward runs/20260102-030405-CartPole-v1`,
  ],
  [
    'learn-reward',
    'learn a reward for agents from comparisons of clips that exist already',
    async (command) => (await import('./control/learn-reward.ts')).addLearnReward(command),
    `A line of a file is { "first": { "steps": [{ "observation": […], "action": 0, "next": […] }], "terminated": false },
"second": …, "preference": "first" }. It writes reward.safetensors and reward.onnx.

Examples:
  heed learn-reward clips.jsonl --actions 2 --out reward
  heed learn-reward clips.jsonl runs/20260102-030405-CartPole-v1 --env CartPole-v1 --out reward`,
  ],
  [
    'compare-rewards',
    'compare two learned rewards: correlation, EPIC distance, and clips on which they disagree',
    async (command) => (await import('./control/compare-rewards.ts')).addCompareRewards(command),
    `The steps come from random play in --env. The EPIC distance (Gleave et al. 2021) is 0 for rewards that differ only in scale and
potential shaping, which change no best policy.

Examples:
  heed compare-rewards runs/20260102-030405-CartPole-v1 reward --env CartPole-v1`,
  ],
  [
    'watch',
    'watch the trained agent of a run beside the untrained one, in the browser',
    async (command) => (await import('./control/watch.ts')).addWatch(command),
    `Writes watch.html into the run's folder: the same episodes before and after training, with their returns.

Examples:
  heed watch runs/20260102-030405-CartPole-v1
  heed watch runs/20260102-030405-CartPole-v1 --serve --episodes 5 --seed 7`,
  ],
  [
    'sweep',
    'find the settings of heed train that need the fewest labels to reach a return',
    training(async () => (await import('../sweep/records.ts')).sweep),
    `Without --vary, it varies the length of fits, minibatch, networks, ensemble, clip length, choice model, query rule and stopping
rule of the reward. Settings of heed train apply to every run.

Examples:
  heed sweep --env CartPole-v1
  heed sweep --vary reward.members=1,3,5 --vary query.rule=random,disagreement --labels 5,10,20 --seeds 20
  heed sweep --grid --vary reward.hidden=16x16,64x64 --vary segment.window=10,25 --steps 30000 --jobs 4
  heed sweep --resume runs/20260102-030405-CartPole-v1-sweep`,
  ],
  [
    'ablate',
    'measure what each part of the method contributes: the ablations of Christiano et al. 2017 on one task',
    training(async () => (await import('../sweep/records.ts')).ablate),
    `Settings of heed train apply to every run.

Examples:
  heed ablate --env CartPole-v1
  heed ablate --env Pendulum-v1 --algorithm pebble --target -250 --only random-queries,no-ensemble --seeds 5
  heed ablate --resume runs/20260102-030405-CartPole-v1-ablations`,
  ],
  [
    'film',
    'write what an agent learned as moving pictures: before training on the left, after it on the right',
    async (command) => (await import('./control/film.ts')).addFilm(command),
    `Writes film-1.gif and so on from the clips that the run recorded at its end. It needs no display and no browser.

Examples:
  heed film runs/20260102-030405-CartPole-v1
  heed film runs/20260102-030405-CartPole-v1 --width 480 --out films`,
  ],
  [
    'envs',
    'list the environments that can be used on this machine, and what the others need',
    async (command) => (await import('./control/envs.ts')).addEnvs(command),
    `Pass these names to heed train and heed rl as --env. A file with your own environment works too (docs/reference/environments.md).

Examples:
  heed envs
  heed envs --python ~/venv/bin/python --json`,
  ],
  [
    'generate',
    'complete prompts with a language model',
    async (command) => (await import('./models/generate.ts')).addGenerate(command),
    `A single completion is printed as it is generated; several are printed when all are done.

Examples:
  heed generate --model models/tiny --prompt "Once upon a time" --max-tokens 60 --temperature 0.8
  heed generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?"
  heed generate --model Qwen/Qwen2.5-1.5B-Instruct --draft Qwen/Qwen2.5-0.5B-Instruct --chat --prompt "Hello"
  heed generate --model models/tiny --data prompts.jsonl --top-p 0.9 --seed 1 --json`,
  ],
  [
    'chat',
    'chat with a language model',
    async (command) => (await import('./models/chat.ts')).addChat(command),
    `Type /help in the conversation for its commands.

Examples:
  heed chat --model HuggingFaceTB/SmolLM2-135M-Instruct
  heed chat --model models/tiny --system "You are a pirate." --temperature 0.9`,
  ],
  [
    'serve',
    "serve language models by OpenAI's API: chat, fine-tuning and feedback",
    async (command) => (await import('./serve/serve.ts')).addServe(command),
    `Point any client of OpenAI at the printed address: new OpenAI({ baseURL: 'http://127.0.0.1:7420/v1', apiKey: 'none' }).

Examples:
  heed serve --model HuggingFaceTB/SmolLM2-135M-Instruct
  heed serve --model base=models/tiny --model mine=runs/20260102-030405-tiny-sft/model --port 9000
  heed serve --model models/tiny --tinker`,
  ],
  [
    'improve',
    "train a better model from your chat app's feedback, check it, and write it as GGUF",
    async (command) => (await import('./serve/improve.ts')).addImprove(command),
    `It holds feedback out, and writes the GGUF file with a Modelfile only if the new model is better by that feedback.

Examples:
  heed improve --model HuggingFaceTB/SmolLM2-135M-Instruct --feedback feedbacks.json --from open-webui --out better
  heed improve --model model.gguf --feedback librechat.json --from librechat --out better --dtype Q8_0
  heed improve --model models/mine --feedback thumbs --store feedback.db --out better`,
  ],
  [
    'env',
    "serve a language environment by OpenEnv's protocol, so that TRL and others train on it",
    async (command) => (await import('./serve/env.ts')).addEnv(command),
    `A client opens a session for each episode. In Python: GenericEnvClient(base_url='http://127.0.0.1:8000').

Examples:
  heed env serve ./calculator.js
  heed env serve ./my-env.ts --port 9000 --sessions 16`,
  ],
  [
    'logprobs',
    'show the log-probability of each token of a text',
    async (command) => (await import('./models/logprobs.ts')).addLogprobs(command),
    `The log-probability of a token is conditional on the tokens before it, so the first token has none. With --json, logprobs[i]
belongs to ids[i + 1], and logits[i] follow ids[i].

Examples:
  heed logprobs --model models/tiny --text "Once upon a time"
  heed logprobs --model models/tiny --ids 1,403,407 --logits --json`,
  ],
  [
    'sft',
    'fine-tune a language model on texts, conversations, or prompts with completions',
    training(async () => (await import('../align/supervised/records.ts')).sft),
    `Without --model and --data, the tiny model that comes with heed learns from demonstrations of its own world.
The run's folder gets the last model in model/ and the best in best/, as Hugging Face folders.

Examples:
  heed sft --model HuggingFaceTB/SmolLM2-135M --data demonstrations.jsonl
  heed sft --model models/tiny --data chats.parquet --evaluation.data held-out.jsonl --epochs 2 --out runs/chat
  heed sft --resume runs/20260102-030405-tiny-sft`,
  ],
  [
    'distill',
    'train a student on the texts or the log-probabilities of a teacher (distillation, GKD)',
    training(async () => (await import('../align/distillation/record.ts')).distill),
    `The teacher is a model with the student's vocabulary. Data is as in heed sft; with --texts teacher, prompts are enough.

Examples:
  heed distill --model small --teacher runs/ppo/model --texts teacher --divergence none
  heed distill --model small --teacher runs/ppo/model --data chats.jsonl --divergence reverse
  heed distill --model small --teacher runs/ppo/model --data chats.jsonl --divergence jsd --beta 0.5 --on-policy 0.5
  heed distill --model small --teacher endpoint:http://localhost:8000/v1#large --data prompts.jsonl --texts teacher`,
  ],
  [
    'pretrain',
    'train a new language model from text',
    training(async () => (await import('../align/supervised/records.ts')).pretrain),
    `Without --data, it trains the model that comes with heed, on the embedded world's reviews of places.

Examples:
  heed pretrain --out runs/base
  heed pretrain --data "books/*.jsonl" --vocabulary 8192 --hidden 256 --layers 6 --heads 8 --feed-forward 688 --length 256 --max-positions 256
  heed pretrain --resume runs/20260102-030405-reviews-pretrain`,
  ],
  [
    'reward',
    'train a reward model from comparisons, rankings or ratings of completions',
    async (command) => (await import('./language/reward.ts')).addReward(command),
    `Without --data, a synthetic teacher that knows the true reward, and sometimes errs, compares the model's own completions.
The run's folder gets the last model in model/ and the best in best/, as Hugging Face folders of a classifier with one label.

Examples:
  heed reward --model runs/sft/model --data comparisons.jsonl --out runs/reward
  heed reward --model runs/sft/model --data ranked.jsonl --loss plackett-luce --members 3
  heed reward --model runs/sft/model --from-project haiku --merge consensus
  heed reward --resume runs/20260102-030405-model-reward`,
  ],
  [
    'process',
    'train a reward model from steps of completions that are labeled right or wrong (process supervision)',
    training(async () => (await import('../align/process/record.ts')).processSupervision),
    `Without --data, the model's own completions in the embedded world are labeled sentence by sentence. The run's folder gets the
last model in model/ and the best in best/: rewards for heed ppo --score.place steps, heed best-of-n and the others.

Examples:
  heed process --model runs/sft/model --data steps.jsonl --out runs/process
  heed process --model runs/sft/model --data steps.jsonl --supervision first-error
  heed process --resume runs/20260102-030405-model-process`,
  ],
  [
    'eval',
    'evaluate an agent, a reward model or a language model',
    async (command) => (await import('./evaluate/eval.ts')).addEval(command),
    `Examples:
  heed eval control runs/20260102-030405-CartPole-v1
  heed eval reward --model runs/reward/model --data held-out.jsonl
  heed eval reward --model runs/reward/model --data held-out.jsonl --reference sft.jsonl --policy ppo.jsonl --json
  heed eval policy --model runs/ppo/model --baseline runs/sft/model
  heed eval policy --model runs/ppo/model --baseline completions.jsonl --judge https://api.openai.com/v1#gpt-4o-mini`,
  ],
  [
    'ppo',
    'train a language model by PPO against a reward',
    policy(async () => (await import('../align/ppo/record.ts')).ppo),
    `The reward is a reward model (heed reward), a .js or .ts file with a function, or the URL of a server. Without --reward and
--data, it is the true reward of the embedded world, on its prompts.
The run's folder gets the last model in model/ and the best in best/, as Hugging Face folders.

Examples:
  heed ppo --model runs/sft/model --reward runs/reward/model --data prompts.jsonl --out runs/ppo
  heed ppo --model runs/sft/model --reward judge.js --data prompts.jsonl --lora.rank 16 --kl.target 8
  heed ppo --model runs/sft/model --reward runs/reward/model --ask-people --people.labels 64
  heed ppo --resume runs/20260102-030405-model-ppo`,
  ],
  [
    'grpo',
    'train a language model by GRPO, Dr. GRPO, DAPO, GSPO or a relative, without a critic',
    policy(async () => (await import('../align/policy-gradient/records.ts')).grpo),
    `Rewards and prompts are as in heed ppo. --loss and --level choose the variant.

Examples:
  heed grpo --model runs/sft/model --reward runs/reward/model --data prompts.jsonl --completions 8
  heed grpo --model runs/sft/model --loss dr_grpo --scale none
  heed grpo --model runs/sft/model --agent 'my-agent.js {question}' --tasks tasks.jsonl --completions 8
  heed grpo --model runs/sft/model --env openenv:http://localhost:8000
  heed grpo --model runs/sft/model --env 'verifiers:wordle?seed=1'
  heed grpo --model runs/sft/model --reward runs/reward/model --ask-people
  heed grpo --model runs/sft/model --loss dapo --clip.high 0.28 --beta 0 --overlong 16 --drop-equal true
  heed grpo --model runs/sft/model --level sequence --clip.low 3e-4 --clip.high 4e-4 --beta 0`,
  ],
  [
    'rloo',
    'train a language model by RLOO: completions of a prompt are one another’s baseline',
    policy(async () => (await import('../align/policy-gradient/records.ts')).rloo),
    `Rewards and prompts are as in heed ppo.

Examples:
  heed rloo --model runs/sft/model
  heed rloo --model runs/sft/model --reward runs/reward/model --data prompts.jsonl --completions 8 --beta 0.1`,
  ],
  [
    'reinforce',
    'train a language model by REINFORCE with a baseline',
    policy(async () => (await import('../align/policy-gradient/records.ts')).reinforce),
    `Rewards and prompts are as in heed ppo.

Example:
  heed reinforce --model runs/sft/model --reward runs/reward/model --data prompts.jsonl`,
  ],
  [
    'raft',
    'train a language model on the best of its own completions of each prompt (RAFT)',
    policy(async () => (await import('../align/best-of-n/train.ts')).raft),
    `Rewards and prompts are as in heed ppo.

Example:
  heed raft --model runs/sft/model --completions 8 --steps 8`,
  ],
  [
    'rest',
    'train a language model on ever better shares of its own completions (ReST)',
    policy(async () => (await import('../align/best-of-n/train.ts')).rest),
    `Rewards and prompts are as in heed ppo.

Example:
  heed rest --model runs/sft/model --completions 8 --thresholds 0.5,0.75,0.875`,
  ],
  [
    'online-dpo',
    'train a language model by DPO on pairs of its own completions, compared during training',
    policy(async () => (await import('../align/preferences/records.ts')).onlineDpo),
    `Rewards and prompts are as in heed ppo. Of two completions of a prompt, the one with the higher reward is the chosen one.

Examples:
  heed online-dpo --model runs/sft/model --reward runs/reward/model --data prompts.jsonl
  heed online-dpo --model runs/sft/model --loss ipo --beta 0.05`,
  ],
  [
    'best-of-n',
    'take the best of several completions of each prompt, and estimate the gain from more',
    training(async () => (await import('../align/best-of-n/train.ts')).bestOfN),
    `Nothing is trained. Rewards and prompts are as in heed ppo; best.jsonl in the run's folder is a dataset for heed sft.

Examples:
  heed best-of-n --model runs/sft/model --completions 64
  heed best-of-n --model runs/sft/model --reward runs/reward/model --gold reviews --completions 64`,
    'bestofn',
  ],
  [
    'pareto',
    'train a policy for each of several weightings of two rewards, and plot the Pareto front',
    training(async () => (await import('../align/policy-gradient/records.ts')).pareto),
    `Each policy is trained by RLOO, with its settings. Rewards and prompts are as in heed ppo.

Examples:
  heed pareto --model runs/sft/model --reward reviews:tone --against reviews:length --steps 15
  heed pareto --model runs/sft/model --reward runs/helpful/model --against runs/harmless/model --weights 0.2,0.5,0.8
  heed pareto --resume runs/20260102-030405-model-pareto`,
  ],
  [
    'overoptimization',
    'measure reward over-optimization, and how well guards prevent it',
    training(async () => (await import('../align/overoptimization/record.ts')).overoptimization),
    `Runs best of n, PPO without a guard, and PPO with each of --guards, each in a folder of its own. A guard has a name and a
strength: kl:0.05 (fixed β), target:6 (target KL), length:1, repetition:2, sameness:2, pessimism:1 (of an ensemble; also
applies to best of n). Join several with +.

Examples:
  heed overoptimization --model runs/sft/model --reward runs/reward/model
  heed overoptimization --model runs/sft/model --reward runs/ensemble/model --guards pessimism:1,kl:0.1+repetition:2`,
  ],
  [
    'dpo',
    'train a language model on pairs of completions by DPO or a related loss',
    training(async () => (await import('../align/preferences/records.ts')).dpo),
    `Without --data, the model completes the prompts of the embedded world, and --teacher compares pairs of its completions.
The run's folder gets the last model in model/ and the best in best/, as Hugging Face folders.

Examples:
  heed dpo --model runs/sft/model --data comparisons.jsonl
  heed dpo --model runs/sft/model --data comparisons.jsonl --loss sigmoid,sft --loss-weights 1,0.2 --lora.rank 16
  heed dpo --model runs/sft/model --out runs/dpo`,
  ],
  [
    'orpo',
    'train a language model on pairs by ORPO: fine-tuning and preferences in one loss, without a reference model',
    training(async () => (await import('../align/preferences/records.ts')).orpo),
    'Example:\n  heed orpo --model HuggingFaceTB/SmolLM2-135M --data comparisons.jsonl',
  ],
  [
    'cpo',
    'train a language model on pairs by SimPO, or by CPO with --loss, without a reference model',
    training(async () => (await import('../align/preferences/records.ts')).cpo),
    `Examples:
  heed cpo --model runs/sft/model --data comparisons.jsonl
  heed cpo --model runs/sft/model --data comparisons.jsonl --loss sigmoid --beta 0.1 --likelihood 1`,
  ],
  [
    'kto',
    'train a language model on completions labeled good or bad, by KTO',
    training(async () => (await import('../align/preferences/records.ts')).kto),
    `A pair counts as one good and one bad completion.

Example:
  heed kto --model runs/sft/model --data rated.jsonl --undesirable-weight 1.5`,
  ],
  [
    'bco',
    'train a language model on completions labeled good or bad, by BCO',
    training(async () => (await import('../align/preferences/records.ts')).bco),
    `A pair counts as one good and one bad completion.

Example:
  heed bco --model runs/sft/model --data rated.jsonl`,
  ],
  [
    'pipeline',
    'run several trainings and evaluations in order, with one report',
    async (command) => (await import('./run/pipeline.ts')).addPipeline(command),
    `A recipe lists stages: commands with their settings. "@sft" in a setting stands for what the stage "sft" produced. Without a
recipe, an agent learns CartPole from preferences, and a language model goes through fine-tuning, a reward model and PPO.

Examples:
  heed pipeline
  heed pipeline recipe.json --out runs/mine
  heed pipeline --resume runs/mine
  heed pipeline changed.json --resume runs/mine --from ppo`,
  ],
  [
    'constitution',
    'criticize, revise and compare completions by written principles (Constitutional AI)',
    training(async () => (await import('../align/constitution/record.ts')).constitution),
    `In the run's folder, revisions.jsonl is a dataset for heed sft, comparisons.jsonl one for heed reward and heed dpo.
Finished work is never lost: --resume continues after the last step.

Examples:
  heed constitution --model HuggingFaceTB/SmolLM2-1.7B-Instruct --data prompts.jsonl
  heed constitution --model runs/sft/model --critic http://localhost:8000/v1#llama-3.1-8b --constitution principles.md --data prompts.jsonl
  heed constitution --model runs/sft/model --critic https://api.openai.com/v1#gpt-4o --part comparisons --prompts 500`,
  ],
  [
    'plan',
    'estimate the memory that training needs, here or on a cluster, and what to change if it does not fit',
    async (command) => (await import('./models/plan.ts')).addPlan(command),
    `No weights are loaded: a config.json or a parameter count is enough. Without --device, the memory is this machine's.
With --cluster, the plan is for a trainer such as OpenRLHF, verl or TRL, with its hours and, with --price, its cost.

Examples:
  heed plan --params 7B --algorithm ppo --method lora
  heed plan --model HuggingFaceTB/SmolLM2-135M --algorithm dpo --length 512 --device 8GiB,24GiB
  heed plan --params 135M --rows 4 --length 256 --checkpoint-layers --json
  heed plan --params 7B --algorithm ppo --cluster 8xA100-80GB --length 2048 --max-tokens 1024 --price 2
  heed plan --params 70B --algorithm ppo --cluster 4x8xH100 --offload optimizer --engines.devices 8`,
  ],
  [
    'pull',
    'download a model or dataset from the Hub',
    async (command) => (await import('./models/pull.ts')).addPull(command),
    `Files that heed does not read, such as other weight formats, are skipped unless --include names them. Files already there are
not downloaded again, and an interrupted download continues where it stopped. The cache is shared with Python's
huggingface_hub. Environment variables: HF_HOME or HF_HUB_CACHE (cache folder), HF_ENDPOINT (Hub), HF_TOKEN (token),
HF_HUB_OFFLINE=1 (no network).

Examples:
  heed pull HuggingFaceTB/SmolLM2-135M-Instruct
  heed pull Qwen/Qwen2.5-0.5B@main --exclude "*.txt"
  heed pull Anthropic/hh-rlhf --dataset --include "harmless-base/*"`,
  ],
  [
    'data',
    'inspect, check, convert and split datasets; show what is learned of them',
    async (command) => (await import('./data/data.ts')).addData(command),
    `FILE is a .jsonl, .json, .csv, .tsv (each also .gz) or .parquet file, a folder of them, or a pattern. Several make one dataset.

Examples:
  heed data inspect train.jsonl --tokenizer models/tiny
  heed data tokens train.jsonl --model runs/sft/model --rows 2
  heed data check test.parquet --against train.parquet
  heed data convert "hh/*.jsonl.gz" --to unpaired-preference --out hh.parquet
  heed data convert faq.csv --rename prompt=question --rename completion=answer --out faq.jsonl
  heed data split reviews.csv --test 0.1 --by prompt --out reviews`,
  ],
  [
    'studio',
    'open the web page where people judge responses and clips',
    async (command) => (await import('./people/studio.ts')).addStudio(command),
    `The store is feedback.db in this folder, or --store PATH, or --store postgres://… Only this machine can open the page, unless
--host allows others.

Examples:
  heed studio
  heed studio --store postgres://heed@localhost/heed --host 0.0.0.0 --hosts label.example.org
  HEED_OIDC_SECRET=… heed studio --oidc-issuer https://id.example.org --oidc-client heed --oidc-roles admins=owner,staff=annotator`,
  ],
  [
    'feedback',
    'manage judgments: import items, export datasets, measure agreement, manage people',
    async (command) => (await import('./people/feedback.ts')).addFeedback(command),
    `The store is feedback.db in this folder, or --store PATH, or --store postgres://…

Examples:
  heed feedback import pairs.jsonl --project haiku --overlap 2
  heed feedback import known.jsonl --project haiku --gold
  heed feedback import argilla-dataset --from argilla --project haiku --dry-run
  heed feedback export for-label-studio --to label-studio --project haiku
  heed feedback stats --project haiku
  heed feedback export preferences.jsonl --project haiku --merge consensus
  heed feedback users add ada --role reviewer
  heed feedback keys add ada nightly --scopes read --days 30
  heed feedback sessions list ada
  heed feedback audit feedback.db --verify
  heed feedback person ada --export ada.json`,
  ],
  [
    'cluster',
    'run trainings and other jobs on a Ray cluster',
    async (command) => (await import('./cluster/cluster.ts')).addCluster(command),
    `Trainings, sweeps and ablations go to the cluster with --on ray. The token is RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH,
or ~/.ray/auth_token.

Examples:
  heed cluster check --address http://head:8265
  heed sweep --env CartPole-v1 --on ray --jobs 8 --out runs/sweep
  heed cluster attach runs/sweep
  heed cluster submit --dir work --gpus 1 -- python3 train.py
  heed cluster logs heed-job-1a2b3c4d --follow`,
  ],
  [
    'course',
    'learn the method by writing it: ten lessons with exercises, checks and hints',
    async (command) => (await import('./course/course.ts')).addCourse(command),
    `Each verb but start and minimal works in the folder that start wrote. Without a verb, the lessons are listed.

Examples:
  heed course start rlhf && cd rlhf
  heed course check 1
  heed course hint 1
  heed course solution 1 --show
  heed course minimal --env CartPole-v1 --labels 40`,
  ],
  [
    'export',
    'export an agent or a model as ONNX, or a model with its adapter merged in as a Hugging Face folder',
    async (command) => (await import('./models/export.ts')).addExport(command),
    `For a run of heed train or heed rl: policy.onnx maps observation [batch, o] to action, the likeliest one (int64 [batch], with
log_probabilities [batch, n], or float32 [batch, a]). reward.onnx maps observation, action and, if the reward needs them,
next_observation and terminated [batch] to reward [batch]. The graphs include the normalization of observations. policy.h is
the policy in C, unless it reads images.
For a language model: model.onnx maps input_ids and attention_mask [batch, time] to logits.
ONNX Runtime runs them in any language.

Examples:
  heed export runs/20260102-030405-CartPole-v1
  heed export --model runs/sft/model --out onnx
  heed export --model models/base --adapter runs/sft/model --format safetensors --dtype BF16 --out merged`,
  ],
  [
    'report',
    "rewrite a run's report.html and print its address",
    async (command) => (await import('./run/report.ts')).addReport(command),
    'Example:\n  heed report runs/20260102-030405-CartPole-v1',
  ],
  [
    'diagnose',
    'find out what went wrong in a run, and what to do about it',
    async (command) => (await import('./run/diagnose.ts')).addDiagnose(command),
    'Example:\n  heed diagnose runs/20260102-030405-CartPole-v1',
  ],
  [
    'doctor',
    'check Node, the engine, its speed, memory and disk',
    async (command) => (await import('./doctor/checks.ts')).addDoctor(command),
    'Example:\n  heed doctor',
  ],
  [
    'init',
    'begin a task of your own: a recipe, a sample of data and the next command',
    async (command) => (await import('./init/init.ts')).addInit(command),
    `It asks what you want to do, or reads it from flags. It never overwrites a file.

Examples:
  heed init
  heed init my-rows --for rows --model HuggingFaceTB/SmolLM2-135M-Instruct --data faq.jsonl
  heed init my-task --for environment`,
  ],
  [
    'completion',
    'print a script that completes commands and flags by Tab, for bash, zsh or fish',
    async (command) => (await import('./completion/completion.ts')).addCompletion(command),
    `bash and zsh read the script when they start, fish from its folder of completions.

Examples:
  heed completion bash >> ~/.bashrc
  heed completion zsh >> ~/.zshrc
  heed completion fish > ~/.config/fish/completions/heed.fish`,
  ],
];
