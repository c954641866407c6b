/**
 * Text of models and people, with its Markdown. markdown-it reads it; what it finds becomes the page's own elements. HTML
 * in the text is shown as it was written, pictures are those inside of the text alone, and a link asks before it opens.
 */
import { tex } from '@mdit/plugin-tex';
import MarkdownIt from 'markdown-it';
import type Token from 'markdown-it/lib/token.mjs';
import footnotes from 'markdown-it-footnote';
import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { useWords } from '../words/words.ts';
import { Code } from './code.tsx';
import { Formula } from './formula.tsx';

/** Models break lines where they want a break. */
const markdown = new MarkdownIt('default', { html: false, linkify: true, breaks: true })
  .use(tex, { delimiters: 'all', render: (source) => source })
  .use(footnotes);

/** Shows text with its Markdown, or as it was written. */
export function FormattedText({ text, raw }: { text: string; raw?: boolean }) {
  const elements = useMemo(() => (raw ? undefined : elementsOf(markdown.parse(text, {}))), [text, raw]);
  if (!elements) {
    return (
      <p class="text" dir="auto">
        {text}
      </p>
    );
  }
  return <div class="formatted">{elements}</div>;
}

/** A token that begins an element, what lies inside of it, or a token without an inside. */
interface Node {
  token: Token;
  inside: Node[];
}

/** Tokens come in a row; those between an opening and its closing lie inside. */
function treeOf(tokens: readonly Token[]): Node[] {
  const root: Node[] = [];
  const open = [root];
  for (const token of tokens) {
    if (token.nesting < 0) {
      open.pop();
      continue;
    }
    const node: Node = { token, inside: token.children ? treeOf(token.children) : [] };
    open.at(-1)!.push(node);
    if (token.nesting > 0) open.push(node.inside);
  }
  return root;
}

const elementsOf = (tokens: readonly Token[]): ComponentChildren[] => treeOf(tokens).map(elementOf);

const inside = (node: Node): ComponentChildren[] => node.inside.map(elementOf);

/** Elements that are what their tag says, and whose direction is that of their first letter. */
const PLAIN = new Set(['p', 'ul', 'blockquote', 'thead', 'tbody', 'tr', 'strong', 'em', 's']);

function elementOf(node: Node): ComponentChildren {
  const { type, tag, content, info, hidden, attrs, meta } = node.token;
  const attributes = Object.fromEntries(attrs ?? []);
  if (type === 'inline') return inside(node);
  if (type === 'text') return content;
  if (type === 'softbreak' || type === 'hardbreak') return <br />;
  if (type === 'hr') return <hr />;
  if (type === 'code_inline') return <code>{content}</code>;
  if (type === 'fence' || type === 'code_block') return <Code source={content} language={info.trim().split(/\s/)[0]} />;
  if (type === 'math_inline') return <Formula source={content} />;
  if (type === 'math_block') return <Formula source={content} block />;
  if (type === 'image') return <Picture source={attributes.src ?? ''} text={content} />;
  if (type === 'footnote_ref') return <sup>[{meta.label ?? meta.id + 1}]</sup>;
  if (type === 'footnote_anchor') return null;
  if (type === 'footnote_block_open') return <ol class="footnotes">{inside(node)}</ol>;
  if (type === 'footnote_open' || tag === 'li') return <Item isDone={takeTask(node)}>{inside(node)}</Item>;
  if (type === 'heading_open') return <Heading level={Number(tag.slice(1))}>{inside(node)}</Heading>;
  if (tag === 'a') return <Link href={attributes.href ?? ''}>{inside(node)}</Link>;
  if (tag === 'ol') return <ol start={Number(attributes.start ?? 1)}>{inside(node)}</ol>;
  if (tag === 'table') return <Table>{inside(node)}</Table>;
  if (tag === 'th' || tag === 'td') {
    const Cell = tag as 'td';
    const [, align] = /text-align:(\w+)/.exec(attributes.style ?? '') ?? [];
    return (
      <Cell dir="auto" class={align && `at-${align}`}>
        {inside(node)}
      </Cell>
    );
  }
  // the paragraphs of a list without empty lines have no element of their own
  if (hidden) return inside(node);
  if (!PLAIN.has(tag)) return content;
  const Element = tag as 'p';
  return tag === 'p' ? <p dir="auto">{inside(node)}</p> : <Element>{inside(node)}</Element>;
}

/** A heading of the text: below those of the page. */
function Heading({ level, children }: { level: number; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: the page's own headings are not those of a text
    <div class={`heading level-${level}`} role="heading" aria-level={Math.min(6, level + 2)} dir="auto">
      {children}
    </div>
  );
}

const TASK = /^\[([ xX])\]\s+/;

/** Takes the box of a task from an item of a list. Returns whether the task is done; undefined if it is no task. */
function takeTask(item: Node): boolean | undefined {
  const first = item.inside[0]?.inside[0]?.inside[0]?.token;
  const box = first?.type === 'text' ? TASK.exec(first.content) : null;
  if (!box) return undefined;
  first!.content = first!.content.slice(box[0].length);
  return box[1] !== ' ';
}

function Item({ isDone, children }: { isDone: boolean | undefined; children: ComponentChildren }) {
  const words = useWords();
  if (isDone === undefined) return <li dir="auto">{children}</li>;
  return (
    <li class="task" dir="auto">
      <span role="img" aria-label={isDone ? words.taskDone : words.taskOpen}>
        {isDone ? '☑' : '☐'}
      </span>{' '}
      {children}
    </li>
  );
}

function Table({ children }: { children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <div class="table" tabIndex={0}>
      <table>{children}</table>
    </div>
  );
}

/** A link opens elsewhere, and only if somebody means it: a slip of the hand leaves nothing. */
function Link({ href, children }: { href: string; children: ComponentChildren }) {
  const words = useWords();
  if (!/^(https?:|mailto:)/i.test(href)) return <>{children}</>;
  return (
    <a
      href={href}
      target="_blank"
      rel="noopener noreferrer nofollow"
      title={href}
      onClick={(event) => {
        event.stopPropagation();
        if (!confirm(words.openLink(href))) event.preventDefault();
      }}
    >
      {children}
    </a>
  );
}

/** A picture inside of the text. One that lies elsewhere would tell its host who reads what: it is named, not loaded. */
function Picture({ source, text }: { source: string; text: string }) {
  if (/^data:image\/(png|jpeg|webp|gif);base64,/.test(source)) return <img src={source} alt={text} />;
  return <span class="quiet">{`![${text}](${source})`}</span>;
}
