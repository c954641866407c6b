import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createTextStream, parseCalls } from './tool-calls.ts';

const tools = [{ function: { name: 'add' } }, { function: { name: 'time' } }];
const add = '{"name": "add", "arguments": {"a": 12345678901234567890, "b": 1.0}}';
const block = (json: string) => `<tool_call>\n${json}\n</tool_call>`;
const read = (text: string, isCut = false) => {
  const found = parseCalls(text, tools, isCut);
  return [found.text, ...found.calls.map(({ function: { name, arguments: given } }) => `${name} ${given}`)];
};

it.each<[string, string[]]>([
  [add, ['', 'add {"a":12345678901234567890,"b":1.0}']],
  ['<|python_tag|>{"name": "time", "parameters": {}}', ['', 'time {}']],
  ['[TOOL_CALLS][{"name": "time"}, {"name": "time", "arguments": "{}"}]', ['', 'time {}', 'time {}']],
  ['<|tool_call|>[{"name": "time"}]', ['', 'time {}']],
  ['<|tool_calls|>[{"name": "time"}]<|/tool_calls|>', ['', 'time {}']],
  ['functools[{"name": "add", "arguments": {"a": [1, 2]}}]', ['', 'add {"a":[1,2]}']],
  ['functools are tools', ['functools are tools']],
  [
    `Two: ${block('{"name":"time"}')} and ${block('{"arguments":{},"name":"time"}')} `,
    ['Two:  and', 'time {}', 'time {}'],
  ],
  ['{"name": "gone", "arguments": {}}', ['{"name": "gone", "arguments": {}}']],
  [`a ${block('{"name":"time"')}`, [`a ${block('{"name":"time"')}`]],
])('reads calls in %s', (text, found) => {
  expect(read(text)).toEqual(found);
});

it('reads a call that was cut, with as much of its arguments as there is', () => {
  expect(read('{"name": "add", "arguments": {"a": 1', true)).toEqual(['', 'add {"a": 1']);
  expect(read('{"name": "ad', true)).toEqual(['{"name": "ad']);
});

const piece = fc.constantFrom(
  'a',
  ' ',
  '\n',
  '<',
  '<tool',
  '_call>',
  '{',
  '"name":"time"',
  '}',
  '</tool_call>',
  '[',
  '<|',
  'functools[',
  'fun',
  '<|tool_call|>',
);
const pieces = fc.array(fc.oneof(piece, fc.constant(block('{"name":"time"}'))), { maxLength: 12 });

it('passes a text on while it is written, and nothing of a call', () => {
  const pass = (written: string[]) => {
    const stream = createTextStream();
    const sent = written.map((one) => stream.read(one));
    const { text, calls } = parseCalls(written.join(''), tools);
    return { sent, all: sent.join('') + stream.rest(text), text, calls };
  };
  expect(pass(['I ', 'look <', 'b>: ', '<tool_c', 'all>\n{"name":"time"}', '</tool_call>', ' so'])).toMatchObject({
    sent: ['I', ' look', ' <b>:', '', '', '', ''],
    text: 'I look <b>:  so',
    all: 'I look <b>:  so',
  });
  expect(pass(['{"a"', ': 1}'])).toMatchObject({ sent: ['', ''], all: '{"a": 1}' });
  expect(pass(['fun', 'ny', ' that'])).toMatchObject({ sent: ['', 'funny', ' that'] });
  expect(pass(['func', 'tools[{"name":', '"time"}]']).sent).toEqual(['', '', '']);
  fc.assert(
    fc.property(pieces, (written) => {
      const { all, text, calls } = pass(written);
      expect(calls.length > 0 ? all.trim() : all).toBe(text);
    }),
    { numRuns: 500, seed: 1 },
  );
});
