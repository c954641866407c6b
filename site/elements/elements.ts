/** heed's custom elements. Each loads what it needs when a page shows it. */
import { LESSONS } from './lessons.ts';
import { lacks } from './support.ts';

const lack = lacks();

/** `<heed-exercise lesson="01-bradley-terry">`: the editor of a lesson's exercise, its checks, hints and solution. */
class HeedExercise extends HTMLElement {
  #stop?: () => void;

  async connectedCallback(): Promise<void> {
    const lesson = LESSONS[this.getAttribute('lesson') ?? ''];
    if (!lesson) {
      this.textContent = `There is no lesson ${this.getAttribute('lesson')}.`;
      return;
    }
    const { showExercise } = await import('./exercise.ts');
    if (this.isConnected && !this.#stop) this.#stop = await showExercise(this, lesson);
  }

  disconnectedCallback(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}

/** `<heed-figure name="bradley-terry">`: the interactive figure of the lesson whose folder ends in that name. */
class HeedFigure extends HTMLElement {
  async connectedCallback(): Promise<void> {
    const name = this.getAttribute('name');
    const lesson = Object.values(LESSONS).find((each) => each.name.replace(/^\d+-/, '') === name);
    if (!lesson?.figure) {
      this.textContent = `There is no figure ${name}.`;
      return;
    }
    const { draw } = await lesson.figure();
    if (this.isConnected && !this.firstElementChild) draw(this);
  }
}

/** `<heed-embedded-world>`: a language model that follows a reward model too far, trained in the page. */
class HeedEmbeddedWorld extends HTMLElement {
  #end?: () => void;

  async connectedCallback(): Promise<void> {
    if (lack) {
      this.textContent = lack;
      return;
    }
    const { drawEmbeddedWorld } = await import('./embedded-world.ts');
    if (this.isConnected && !this.firstElementChild) this.#end = drawEmbeddedWorld(this);
  }

  disconnectedCallback(): void {
    this.#end?.();
  }
}

/** `<heed-comparison>`: the table before it as a picture to play with. */
class HeedComparison extends HTMLElement {
  async connectedCallback(): Promise<void> {
    const { drawComparison } = await import('./comparison.ts');
    if (this.isConnected && !this.firstElementChild) drawComparison(this);
  }
}

/** `<heed-done lesson="01-bradley-terry">`: says whether the reader's code has passed the lesson's checks. */
class HeedDone extends HTMLElement {
  async connectedCallback(): Promise<void> {
    const { passed } = await import('./kept.ts');
    this.textContent = passed(this.getAttribute('lesson') ?? '') ? '✓ passed' : '';
  }
}

const elements: Record<string, CustomElementConstructor> = {
  'heed-exercise': HeedExercise,
  'heed-figure': HeedFigure,
  'heed-embedded-world': HeedEmbeddedWorld,
  'heed-comparison': HeedComparison,
  'heed-done': HeedDone,
};
for (const [name, element] of Object.entries(elements))
  if (!customElements.get(name)) customElements.define(name, element);

/** The first page's demos define their elements when they load. */
const demos = {
  'heed-cartpole': () => import('../demo/heed-cartpole.ts'),
  'heed-writer': () => import('../demo/heed-writer.ts'),
};
for (const [name, load] of Object.entries(demos)) {
  if (lack) {
    customElements.define(
      name,
      class extends HTMLElement {
        connectedCallback(): void {
          this.textContent = lack;
        }
      },
    );
  } else {
    const look = () => void (document.querySelector(name) && load());
    look();
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  }
}
