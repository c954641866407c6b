/**
 * Moving pictures of what was learned for docs/images: npm run gifs. Trains each behavior by its preset first, which takes a while.
 * npm run gifs -- RUN … draws the policies of runs that are there. --png FOLDER keeps some of the pictures to be looked at.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import gifenc from 'gifenc';
import { createLearner, loadJudge } from '../dist/control/index.js';
import { openEnvironment, replay, sourceOf } from '../dist/env/index.js';
import { createRlLearner } from '../dist/rl/index.js';
import { isRun, readCheckpoint, readInfo } from '../dist/run/index.js';

await initWasm(readFileSync(createRequire(import.meta.url).resolve('@resvg/resvg-wasm/index_bg.wasm')));
const { GIFEncoder, quantize, applyPalette } = gifenc;
const WIDTH = 300;
const MOST_SECONDS = 6;
const FRAMES_PER_SECOND = 25;
const COLORS = 32;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { into: { type: 'string', default: 'docs/images' }, png: { type: 'string' } },
});

/** An environment that remembers the episode it is in. */
function remembering(environment, all) {
  const mine = { seed: 0, actions: [], length: 0, return: 0 };
  all.push(mine);
  return {
    ...environment,
    reset(seed, observation) {
      Object.assign(mine, { seed, actions: [], length: 0, return: 0 });
      environment.reset(seed, observation);
    },
    step(action, observation) {
      const outcome = environment.step(action, observation);
      mine.actions.push(...Array.from(action));
      mine.length++;
      mine.return += outcome.reward;
      return outcome;
    },
  };
}

/** The middle one of the greedy episodes of a run's policy, by their returns. */
async function typicalEpisode(run, source) {
  const { command, config } = readInfo(run);
  const episodes = [];
  const environment = { ...sourceOf(() => remembering(source.make(), episodes)), [Symbol.dispose]() {} };
  const create = command === 'rl' ? createRlLearner : createLearner;
  const learner = create({ ...config, workers: 0, episodes: 9 }, { environment, judge: await loadJudge(config) });
  const { state, tensors } = readCheckpoint(run);
  learner.restore({ state: state.learner, tensors });
  for (const episode of episodes) episode.length = 0; // of training's own environments
  learner.evaluate();
  const played = episodes.filter(({ length }) => length > 0).sort((a, b) => a.return - b.return);
  learner[Symbol.dispose]();
  const { actions, ...rest } = played[Math.floor(played.length / 2)];
  return { ...rest, actions: Float32Array.from(actions) };
}

const element = {
  polygon: ({ points, fill }) => `<polygon points="${points.join(' ')}" fill="${fill}"/>`,
  line: ({ points, stroke, width }) =>
    `<polyline points="${points.join(' ')}" fill="none" stroke="${stroke}" stroke-width="${width}"/>`,
  circle: ({ x, y, radius, fill }) => `<circle cx="${x}" cy="${y}" r="${radius}" fill="${fill}"/>`,
};

function draw({ width, height, shapes }) {
  const drawn = shapes.map((shape) => element[shape.kind](shape)).join('');
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="#fff"/>${drawn}</svg>`;
  return new Resvg(svg, { fitTo: { mode: 'width', value: WIDTH }, font: { loadSystemFonts: false } }).render();
}

async function picture(run) {
  const { env } = readInfo(run).config;
  const source = await openEnvironment(env);
  const environment = source.make();
  const episode = await typicalEpisode(run, source);
  const every = Math.max(1, Math.round(environment.framesPerSecond / FRAMES_PER_SECOND));
  const steps = Math.min(episode.length, MOST_SECONDS * environment.framesPerSecond);
  const frames = replay(environment, episode, 0, steps).filter((_, i) => i % every === 0);
  const gif = GIFEncoder();
  const name = basename(env).replace(/\.[cm]?[jt]s$/, '');
  // all colors there are come up within a picture, so that one palette does for all
  const palette = quantize(draw(frames[0]).pixels, COLORS);
  for (const [i, frame] of frames.entries()) {
    const image = draw(frame);
    const delay = (1000 * every) / environment.framesPerSecond;
    gif.writeFrame(applyPalette(image.pixels, palette), image.width, image.height, {
      ...(i === 0 && { palette }),
      delay,
    });
    if (values.png && i % 4 === 0) {
      mkdirSync(values.png, { recursive: true });
      writeFileSync(join(values.png, `${name}-${String(i).padStart(3, '0')}.png`), image.asPng());
    }
  }
  gif.finish();
  const path = join(values.into, `${name}.gif`);
  mkdirSync(values.into, { recursive: true });
  writeFileSync(path, gif.bytes());
  console.log(
    `${path}: ${Math.round(gif.bytes().length / 1024)} KB, return ${episode.return} in ${episode.length} steps`,
  );
  environment[Symbol.dispose]?.();
  source[Symbol.dispose]();
}

/** The runs of all behaviors, trained where they are not there yet. */
function trained() {
  return ['CartPole-swing', 'Hopper-backflip', 'HalfCheetah-one-leg'].map((env) => {
    const run = join('runs', `gif-${env}`);
    if (!isRun(run)) {
      const { status } = spawnSync(process.execPath, ['bin/heed.js', 'train', '--env', env, '--out', run], {
        stdio: 'inherit',
      });
      if (status !== 0) process.exit(status ?? 1);
    }
    return run;
  });
}

for (const run of positionals.length > 0 ? positionals : trained()) await picture(run);
