/**
 * `<heed-cartpole>`: the reader compares clips, and an agent in the page learns from the choices. It trains in a worker.
 * The address keeps the settings: #seed=3&steps=60000.
 */
import { drawCart } from '../../src/env/classic/cartpole.ts';
import recorded from './clips.json';
import { drawMap, drawProgress, play } from './draw.ts';
import type { Choice, Command, Report } from './messages.ts';
import { ReaderDemo } from './reader-demo.ts';
import './heed-cartpole.css';

const STEPS = 60_000;
const LEAST_STEPS = 20_000; // fewer leave no room for the rounds of questions
const STANDS = 400; // steps of an episode, of 500, after which the pole counts as standing
const ANSWERS = { upright: 10, tilted: 30 }; // for the second, at most: clips that fall are not asked about

const QUESTIONS = {
  upright: 'Which is better? Choose the clip in which the pole stays up.',
  tilted: 'Now prefer it tilted: choose the clip in which the pole leans further and does not fall.',
};

const markup = `
  <p class="say" aria-live="polite"></p>
  <div class="preview">
    <figure><canvas role="img"></canvas><figcaption>Before it learns, the pole falls after ${recorded.before.steps} steps.
    </figcaption></figure>
    <figure><canvas role="img"></canvas><figcaption>After ten answers, it stands.</figcaption></figure>
  </div>
  <div class="clips" role="group" aria-label="Two clips" tabindex="-1" hidden>
    <button type="button" class="clip" data-choice="left"><canvas role="img"></canvas><span>Left is better</span></button>
    <button type="button" class="clip" data-choice="right"><canvas role="img"></canvas><span>Right is better</span></button>
  </div>
  <p class="choices" hidden><button type="button" data-choice="equal">About equal</button>
    <span class="keys">Keys: ← left, → right, ↓ equal</span></p>
  <div class="agent" hidden>
    <figure><canvas class="now" role="img"></canvas><figcaption class="now-caption"></figcaption></figure>
    <figure><canvas class="progress" role="img"></canvas><figcaption class="progress-caption"></figcaption></figure>
    <figure class="map" hidden><canvas role="img" aria-label="Map of the learned reward"></canvas>
      <figcaption>What it believes you like: its learned reward. Each square is a state of a cart in the middle of the track.
      Across: the pole's angle, −12° to 12°. Down: how fast it turns, −120 to 120 °/s. The brighter a square, the more a step
      there pays, and the agent learns to stay where it is bright. Where you compared nothing, it guesses.</figcaption></figure>
  </div>
  <p class="controls">
    <button type="button" class="start">Start</button>
    <button type="button" class="pause" hidden>Pause</button>
    <button type="button" class="step" hidden>One step</button>
    <button type="button" class="again" hidden>Start again</button>
    <button type="button" class="tilted" hidden>Change my mind: prefer it tilted</button>
  </p>`;

class HeedCartPole extends ReaderDemo {
  #worker?: Worker;
  #stops: (() => void)[] = [];
  #query?: string;
  #label = 0;
  #taste: keyof typeof QUESTIONS = 'upright';
  #points: { step: number; length: number }[] = [];
  #paused = false;
  #steps = STEPS;

  connectedCallback(): void {
    this.innerHTML = markup; // constant text
    this.say(`Two clips, one question: which is better? After ten answers the agent has learned from you alone.`);
    this.#preview();
    this.takeChoices();
    const on = (name: string, act: () => void) => this.find(name).addEventListener('click', act);
    on('.start', () => this.#start());
    on('.again', () => this.#start());
    on('.tilted', () => this.#changeMind());
    on('.pause', () => this.#pause(!this.#paused));
    on('.step', () => this.#send({ kind: 'step' }));
  }

  /** Two clips of a real run, to see what this is about before the first click. */
  #preview(): void {
    for (const [i, canvas] of this.querySelectorAll<HTMLCanvasElement>('.preview canvas').entries()) {
      const { states, steps } = [recorded.before, recorded.after][i];
      const frames = states.map(([position, angle]) => drawCart(Float64Array.of(position, 0, angle, 0)));
      this.#stops.push(play(canvas, frames, 25));
      canvas.setAttribute('aria-label', i === 0 ? `The pole falls after ${steps} steps` : 'The pole stands');
    }
  }

  disconnectedCallback(): void {
    this.#end();
  }

  protected isAsking(): boolean {
    return this.#query !== undefined;
  }

  #send(command: Command): void {
    this.#worker?.postMessage(command);
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#query = undefined;
    this.#agentStop?.();
    for (const stop of this.#stops.splice(0)) stop();
  }

  #start(): void {
    this.#end();
    const settings = new URLSearchParams(location.hash.slice(1));
    const whole = (name: string, least: number, most: number, otherwise: number) => {
      const number = Number(settings.get(name) ?? Number.NaN);
      return Number.isInteger(number) && number >= least && number <= most ? number : otherwise;
    };
    const seed = whole('seed', 0, 2 ** 32 - 1, 0);
    const steps = whole('steps', LEAST_STEPS, 200_000, STEPS);
    history.replaceState(null, '', `#seed=${seed}&steps=${steps}`);
    this.#begin('upright');
    this.say('Loading the engine …');
    for (const name of ['.preview', '.start', '.clips', '.choices', '.map', '.agent']) this.show(false, name);
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Report>) => this.#hear(data));
    this.#worker.addEventListener('error', () => this.#fail('the training did not start'));
    this.#send({ kind: 'start', seed, steps });
  }

  /** The same worker goes on: from the policy and the reward that the reader has taught. */
  #changeMind(): void {
    this.#begin('tilted');
    this.say('It keeps what you said about falling, forgets what you said about leaning, and asks again …');
    this.#send({ kind: 'change' });
  }

  #begin(taste: keyof typeof QUESTIONS): void {
    this.#taste = taste;
    this.#label = 0;
    this.#points = [];
    this.#paused = false;
    for (const name of ['.again', '.tilted']) this.show(false, name);
    delete this.dataset.state;
  }

  #hear(report: Report): void {
    if (report.kind === 'started') {
      this.#steps = report.steps;
      for (const name of ['.pause', '.step']) this.show(true, name);
      this.show(true, '.agent');
    } else if (report.kind === 'query') this.#ask(report);
    else if (report.kind === 'progress') {
      if (!this.#query) {
        const { step, steps, seconds } = report;
        this.say(`It learns from your ${this.#label} answers: ${step} of ${steps} steps, ${seconds.toFixed(1)} s.`);
      }
    } else if (report.kind === 'episode') this.#picture(report);
    else if (report.kind === 'done') this.#done(report);
    else this.#fail(report.message);
  }

  #ask({ id, clips, texts, framesPerSecond }: Extract<Report, { kind: 'query' }>): void {
    this.#query = id;
    this.#label++;
    const most = this.#taste === 'tilted' ? 'at most ' : '';
    this.say(`${QUESTIONS[this.#taste]} (${this.#label} of ${most}${ANSWERS[this.#taste]})`);
    for (const name of ['.clips', '.choices']) this.show(true, name);
    for (const stop of this.#stops.splice(0)) stop();
    for (const [i, canvas] of this.querySelectorAll<HTMLCanvasElement>('.clip canvas').entries()) {
      this.#stops.push(play(canvas, clips[i], framesPerSecond));
      canvas.setAttribute('aria-label', texts[i]);
    }
    this.find('.clips').focus({ preventScroll: true }); // so that the keys choose
  }

  protected choose(choice: Choice): void {
    if (!this.#query) return;
    this.#send({ kind: 'choice', id: this.#query, choice });
    this.#query = undefined;
    if (this.#label === ANSWERS[this.#taste]) for (const name of ['.clips', '.choices']) this.show(false, name);
    this.say('It learns from your answers …');
  }

  #agentStop?: () => void;
  #leanBefore = 0;
  #picture({ step, frames, framesPerSecond, length, lean, map }: Extract<Report, { kind: 'episode' }>): void {
    const canvas = this.find<HTMLCanvasElement>('.now');
    this.#agentStop?.();
    this.#agentStop = play(canvas, frames, framesPerSecond);
    const start = this.#taste === 'upright' ? 'before training' : 'before it relearns';
    const said = step === 0 ? start : `after ${step} steps`;
    const leans = `the pole leans ${lean.toFixed(1)}° on average`;
    if (step === 0) this.#leanBefore = lean;
    canvas.setAttribute('aria-label', `The agent ${said}: an episode of ${length} of 500 steps, ${leans}`);
    this.find('.now-caption').textContent = `The agent ${said}: ${length} of 500 steps; ${leans}.`;
    this.#points.push({ step, length });
    drawProgress(this.find<HTMLCanvasElement>('.progress'), this.#points, this.#steps);
    this.find('.progress').setAttribute(
      'aria-label',
      `Length of its episodes so far: ${this.#points.map((p) => p.length).join(', ')}`,
    );
    this.find('.progress-caption').textContent = 'How long its episodes last, up to 500 steps, as it learns.';
    if (!map) return;
    this.show(true, '.map');
    drawMap(this.find<HTMLCanvasElement>('.map canvas'), map);
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    this.find('.pause').textContent = paused ? 'Go on' : 'Pause';
    this.#send({ kind: paused ? 'pause' : 'resume' });
  }

  #done({ length, lean, seconds }: Extract<Report, { kind: 'done' }>): void {
    const answers = this.#taste === 'upright' ? 'answers' : 'new answers';
    const taught = `After ${this.#label} ${answers} and ${seconds.toFixed(1)} s of training`;
    const lasts = `its episodes last ${Math.round(length)} of 500 steps`;
    const [stands, leans] = [length >= STANDS, lean >= 2 * this.#leanBefore && lean >= this.#leanBefore + 1];
    const angle = `the pole leans ${lean.toFixed(1)}° on average, before it was ${this.#leanBefore.toFixed(1)}°`;
    if (this.#taste === 'upright') {
      this.say(`${stands ? 'The pole stands.' : 'The pole does not stand yet.'} ${taught}, ${lasts}.`);
    } else if (stands && leans) this.say(`You changed its mind: it stands, tilted. ${taught}, ${angle}; ${lasts}.`);
    else if (leans) this.say(`It learned to lean, and forgot how to stand. ${taught}, ${angle}, and ${lasts}.`);
    else this.say(`It did not learn to lean. ${taught}, ${angle}; ${lasts}. Start again, or try another #seed.`);
    for (const name of ['.pause', '.step', '.clips', '.choices']) this.show(false, name);
    this.show(true, '.again');
    this.show(this.#taste === 'upright', '.tilted');
    this.dataset.state = 'done';
  }

  #fail(message: string): void {
    this.#end();
    this.say(`It stopped: ${message}.`);
    for (const name of ['.pause', '.step', '.clips', '.choices']) this.show(false, name);
    this.show(true, '.again');
    this.dataset.state = 'failed';
  }
}

if (!customElements.get('heed-cartpole')) customElements.define('heed-cartpole', HeedCartPole);
