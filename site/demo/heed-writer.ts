/** `<heed-writer>`: the reader compares what a tiny language model writes, and it learns from the choices, in a worker. */
import type { Choice } from './messages.ts';
import { ReaderDemo } from './reader-demo.ts';
import './heed-writer.css';
import type { WriterCommand, WriterReport } from './writer-worker.ts';

const markup = `
  <p class="say" aria-live="polite"></p>
  <div class="texts" role="group" aria-label="Two reviews" tabindex="-1" hidden>
    <button type="button" data-choice="left"><q></q><span>Left is better</span></button>
    <button type="button" data-choice="right"><q></q><span>Right is better</span></button>
  </div>
  <p class="choices" hidden><button type="button" data-choice="equal">About equal</button>
    <span class="keys">Keys: ← left, → right, ↓ equal</span></p>
  <dl class="samples" hidden><dt>Before</dt><dd class="before"></dd><dt>After</dt><dd class="after">…</dd></dl>
  <p class="controls"><button type="button" class="start">Start</button></p>`;

/** It loads nothing more before it is started. */
class HeedWriter extends ReaderDemo {
  #worker?: Worker;
  #asked = false;
  #seed = 0;

  connectedCallback(): void {
    this.innerHTML = markup; // constant text
    this.say(
      'A model with 850,000 weights writes reviews of places. Do you like praise, blame, or short ones? Choose.',
    );
    this.takeChoices();
    this.find('.start').addEventListener('click', () => this.#start());
  }

  disconnectedCallback(): void {
    this.#worker?.terminate();
  }

  protected isAsking(): boolean {
    return this.#asked;
  }

  #send(command: WriterCommand): void {
    this.#worker?.postMessage(command);
  }

  #start(): void {
    this.#worker?.terminate();
    this.#asked = false;
    delete this.dataset.state;
    this.show(false, '.controls', '.samples', '.texts', '.choices');
    this.find('.after').textContent = '…';
    this.#worker = new Worker(new URL('./writer-worker.ts', import.meta.url), { type: 'module' });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<WriterReport>) => this.#hear(data));
    this.#worker.addEventListener('error', () => this.#end('failed', 'It stopped: the training did not start.'));
    this.#send({ seed: this.#seed++ });
  }

  #hear(report: WriterReport): void {
    if ('stage' in report) {
      this.show(false, '.texts', '.choices');
      this.say(report.stage);
    } else if ('texts' in report) this.#ask(report);
    else if ('when' in report) this.find(`.${report.when}`).textContent = report.text;
    else if ('done' in report) {
      this.show(true, '.samples');
      this.#end('done', `${report.done} (${report.seconds.toFixed(0)} s in this page.)`);
    } else this.#end('failed', `It stopped: ${report.failure}.`);
  }

  #ask({ texts, number, of }: Extract<WriterReport, { number: number }>): void {
    this.#asked = true;
    this.say(`Which review is better? You decide what that means. (${number} of ${of})`);
    this.show(true, '.texts', '.choices');
    for (const [i, quote] of this.querySelectorAll('q').entries()) quote.textContent = texts[i];
    this.find('.texts').focus({ preventScroll: true }); // so that the keys choose
  }

  protected choose(choice: Choice): void {
    if (!this.#asked) return;
    this.#asked = false;
    this.#send({ choice });
  }

  #end(state: 'done' | 'failed', text: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#asked = false;
    this.say(text);
    this.show(false, '.texts', '.choices');
    this.find('.start').textContent = 'Start again';
    this.show(true, '.controls');
    this.dataset.state = state;
  }
}

if (!customElements.get('heed-writer')) customElements.define('heed-writer', HeedWriter);
