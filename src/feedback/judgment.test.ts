import { expect, test } from 'vitest';
import { contentSchema } from './judgment.ts';

const clip = (shape: Record<string, unknown>) =>
  contentSchema.safeParse({
    options: [{ kind: 'clip', frames: [{ width: 10, height: 10, shapes: [shape] }], framesPerSecond: 30 }],
  }).success;

test('a picture of pixels lies in the clip itself', () => {
  const place = { kind: 'image', x: 0, y: 0, width: 10, height: 10 };
  expect(clip({ ...place, href: 'data:image/png;base64,iVBORw0KGgo=' })).toBe(true);
  expect(clip({ ...place, href: 'https://example.org/a.png' })).toBe(false);
  expect(clip({ ...place, href: 'data:image/svg+xml;base64,PHN2Zz4=' })).toBe(false);
  expect(clip(place)).toBe(false);
  expect(clip({ kind: 'text' })).toBe(false);
});
