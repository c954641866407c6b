/** What the page's demos share: an element in which the reader chooses between two things, by button or key. */
import './reader-demo.css';
import type { Choice } from './messages.ts';

const KEYS: Record<string, Choice> = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'equal' };

/** A demo. Its parts are found by their selectors; `.say` tells the reader what goes on. */
export abstract class ReaderDemo extends HTMLElement {
  /** Whether the reader is asked. */
  protected abstract isAsking(): boolean;
  /** Takes the reader's choice. */
  protected abstract choose(choice: Choice): void;

  /** Takes choices from the buttons that are there, and from the arrow keys while the reader is asked. */
  protected takeChoices(): void {
    for (const button of this.querySelectorAll<HTMLButtonElement>('[data-choice]')) {
      button.addEventListener('click', () => this.choose(button.dataset.choice as Choice));
    }
    this.addEventListener('keydown', (event) => {
      const choice = KEYS[event.key];
      if (!choice || !this.isAsking()) return;
      event.preventDefault();
      this.choose(choice);
    });
  }

  protected find<E extends HTMLElement = HTMLElement>(selector: string): E {
    return this.querySelector<E>(selector)!;
  }

  protected show(shown: boolean, ...selectors: readonly string[]): void {
    for (const selector of selectors) this.find(selector).hidden = !shown;
  }

  protected say(text: string): void {
    this.find('.say').textContent = text;
  }
}
