/** Which environments work on this machine, and what the others need. */

import { messageOf } from '../../error.ts';
import { env, spawnSync } from '../../node.ts';
import { behaviorTasks, mujocoTasks } from '../mujoco/mujoco.ts';
import { environmentIds } from './make.ts';
import { environments } from './registered.ts';

/** Environments of one kind, and what is missing to use them. */
export interface EnvironmentGroup {
  /** What the group is called in `heed envs`. */
  name: string;
  /** Names as `--env` takes them. */
  ids: string[];
  /** The package or program that provides them. */
  from: string;
  /** What is missing to use them; absent if nothing is. */
  missing?: string;
  /** The command that installs what is missing. */
  install?: string;
}

/** The script for Python: reports packages, and the newest version of every environment with the package it needs. */
const question = `
import importlib.util, json, sys
there = lambda name: importlib.util.find_spec(name) is not None
report = {"executable": sys.executable, "version": sys.version.split()[0], "gymnasium": None, "groups": {}}
if there("gymnasium"):
    import gymnasium
    report["gymnasium"] = gymnasium.__version__
    if there("ale_py"):
        import ale_py
        gymnasium.register_envs(ale_py)
    needs = {"box2d": "Box2D", "mujoco": "mujoco", "atari": "ale_py", "phys2d": "jax", "tabular": "jax"}
    newest = {}
    for spec in gymnasium.registry.values():
        place = spec.entry_point if isinstance(spec.entry_point, str) else spec.entry_point.__module__
        if spec.namespace in (None, "ALE") and place.startswith(("gymnasium.envs.", "ale_py")):
            group = "atari" if place.startswith("ale_py") else place.split(".")[2].split(":")[0]
            if group == "atari" and spec.namespace is None: continue
            key = (spec.namespace, spec.name)
            if key not in newest or spec.version > newest[key][1].version: newest[key] = (group, spec)
    report["groups"] = {group: {"needs": needs.get(group), "there": group not in needs or there(needs[group]), "ids": []} for group, _ in newest.values()}
    report["groups"].setdefault("atari", {"needs": "ale_py", "there": there("ale_py"), "ids": []})
    for group, spec in newest.values(): report["groups"][group]["ids"].append(spec.id)
print(json.dumps(report))
`;

interface Report {
  executable: string;
  version: string;
  gymnasium: string | null;
  groups: Record<string, { needs: string | null; there: boolean; ids: string[] }>;
}

const packages: Record<string, string> = { Box2D: '"gymnasium[box2d]"', ale_py: 'gymnasium ale-py', jax: 'jax' };

/** All groups. Starts Python to list its Gymnasium environments. */
export function listEnvironments(python = env.HEED_PYTHON ?? 'python3'): EnvironmentGroup[] {
  const landers = ['LunarLander-v3', 'LunarLanderContinuous-v3'];
  const swing = 'CartPole-swing';
  const idsOf = (tasks: typeof mujocoTasks) => tasks.map(({ id }) => id);
  return [
    { name: 'classic control', ids: environmentIds.filter((id) => ![...landers, swing].includes(id)), from: 'heed' },
    { name: 'box2d', ids: landers, from: 'heed' },
    { name: 'mujoco', ids: idsOf(mujocoTasks), from: 'heed' },
    {
      name: 'behaviors',
      ids: [swing, ...idsOf(behaviorTasks)],
      from: 'heed; they have no reward: docs/how-to/teach-a-behavior.md',
    },
    ...gymnasiumGroups(python),
    ...(environments.names().length > 0 ? [{ name: 'registered', ids: environments.names(), from: 'plugins' }] : []),
    { name: 'your own', ids: ['./my-env.js'], from: 'a file: docs/reference/environments.md has an example' },
  ];
}

function gymnasiumGroups(python: string): EnvironmentGroup[] {
  const absent = (from: string, missing: string, install: string): EnvironmentGroup[] =>
    ['gymnasium', 'atari'].map((name) => ({ name, ids: [], from, missing, install }));
  const reply = spawnSync(python, ['-c', question], { encoding: 'utf8', timeout: 60_000 });
  if (reply.status !== 0) {
    const why = reply.error ? messageOf(reply.error) : (reply.stderr.trim().split('\n').at(-1) ?? '');
    const install = 'install Python 3.10 or later, or name one that is there: HEED_PYTHON=/path/to/python heed envs';
    return absent(python, `Python does not run: ${why}`, install);
  }
  const { executable, version, gymnasium, groups } = JSON.parse(reply.stdout.trim().split('\n').at(-1)!) as Report;
  if (gymnasium === null) {
    const install = `${executable} -m pip install gymnasium ale-py`;
    return absent(`Python ${version}, ${executable}`, 'the package gymnasium', install);
  }
  const from = `Gymnasium ${gymnasium}, Python ${version}, ${executable}`;
  return Object.entries(groups).map(([name, { needs, there, ids }]) => ({
    name: name === 'atari' ? name : `gymnasium ${name.replaceAll('_', ' ')}`,
    ids: ids.map((id) => (name === 'atari' ? id : `gym:${id}`)).sort(),
    from,
    ...(!there && {
      missing: `the package ${needs}`,
      install: `${executable} -m pip install ${packages[needs!] ?? `"gymnasium[${name}]"`}`,
    }),
  }));
}
