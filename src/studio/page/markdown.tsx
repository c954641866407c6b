/**
 * Text of models and people, with simple Markdown. It becomes the page's own elements: no HTML, no links, no pictures.
 */
import type { ComponentChildren } from 'preact';

const FENCE = /^\s*(```|~~~)/;
const ITEM = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const QUOTE = /^>\s?(.*)$/;

/** Shows text with its Markdown, or as it was written. */
export function FormattedText({ text, raw }: { text: string; raw?: boolean }) {
  return raw ? <p class="text">{text}</p> : <div class="formatted">{blocks(text.split('\n'))}</div>;
}

function blocks(lines: readonly string[]): ComponentChildren[] {
  const elements: ComponentChildren[] = [];
  /** The lines from `at` on that `take` accepts, as it returns them. */
  const run = (at: number, take: (line: string) => string | undefined): string[] => {
    const taken: string[] = [];
    for (let i = at; i < lines.length; i++) {
      const own = take(lines[i]);
      if (own === undefined) break;
      taken.push(own);
    }
    return taken;
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    if (FENCE.test(line)) {
      const code = run(at + 1, (one) => (FENCE.test(one) ? undefined : one));
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
      elements.push(<pre tabIndex={0}>{code.join('\n')}</pre>);
      at += code.length + 2;
    } else if (line.trim() === '') {
      at++;
    } else if (HEADING.test(line)) {
      // the page has headings of its own
      elements.push(
        <p>
          <strong>{inline(HEADING.exec(line)![1])}</strong>
        </p>,
      );
      at++;
    } else if (QUOTE.test(line)) {
      const quoted = run(at, (one) => QUOTE.exec(one)?.[1]);
      elements.push(<blockquote>{blocks(quoted)}</blockquote>);
      at += quoted.length;
    } else if (ITEM.test(line)) {
      const items = run(at, (one) => ITEM.exec(one)?.[2]);
      const start = ITEM.exec(line)![1];
      const inside = items.map((one) => <li>{inline(one)}</li>);
      elements.push(start === undefined ? <ul>{inside}</ul> : <ol start={Number(start)}>{inside}</ol>);
      at += items.length;
    } else {
      const own = run(at, (one) => (one.trim() === '' || FENCE.test(one) || ITEM.test(one) ? undefined : one));
      elements.push(<p class="text">{inline(own.join('\n'))}</p>);
      at += own.length;
    }
  }
  return elements;
}

const INLINE = /`([^`\n]+)`|\*\*(?=\S)([^\n]*?\S)\*\*|\*(?=\S)([^*\n]*\S)\*|\b_(?=\S)([^_\n]*\S)_\b/;

function inline(text: string): ComponentChildren[] {
  const match = INLINE.exec(text);
  if (!match) return [text];
  const [whole, code, strong, starred, underlined] = match;
  const element =
    code !== undefined ? (
      <code>{code}</code>
    ) : strong !== undefined ? (
      <strong>{inline(strong)}</strong>
    ) : (
      <em>{inline(starred ?? underlined)}</em>
    );
  return [text.slice(0, match.index), element, ...inline(text.slice(match.index + whole.length))];
}
