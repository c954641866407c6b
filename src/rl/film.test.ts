import { expect, test } from 'vitest';
import { cartPole } from '../env/index.ts';
import { encodePng } from '../env/picture/png.ts';
import { recordEpisode } from './episodes.ts';
import { filmOf } from './film.ts';

/** What a GIF holds: its size, how many frames, and the hundredths of a second of the first. */
function read(gif: Uint8Array) {
  const view = new DataView(gif.buffer, gif.byteOffset, gif.byteLength);
  let [frames, delay] = [0, 0];
  for (let i = 0; i + 8 < gif.length; i++) {
    // a graphic control extension of four bytes
    if (gif[i] !== 0x21 || gif[i + 1] !== 0xf9 || gif[i + 2] !== 4 || gif[i + 7] !== 0) continue;
    if (frames === 0) delay = view.getUint16(i + 4, true);
    frames++;
  }
  const header = String.fromCharCode(...gif.subarray(0, 6));
  return { header, width: view.getUint16(6, true), height: view.getUint16(8, true), frames, delay };
}

test('a film has both clips, as long as the longer one', async () => {
  const shown = { seconds: 1, framesPerSecond: 10 };
  const [first, second] = [0, 1].map((way) => recordEpisode(cartPole(), { act: () => way, reset() {} }, way, shown));
  const { framesPerSecond } = first;
  const frames = Math.max(first.frames.length, second.frames.length);
  const gif = await filmOf({ first: first.frames, second: second.frames, framesPerSecond }, { width: 60 });
  const { width: w, height: h } = first.frames[0];
  expect(read(gif)).toEqual({
    header: 'GIF89a',
    width: 121,
    height: Math.ceil((121 * h) / (2.02 * w)),
    frames,
    delay: Math.round(100 / framesPerSecond),
  });
  expect(frames).toBeGreaterThan(2);
});

test('pictures of pixels are drawn, and text of an environment is no markup', async () => {
  const png = encodePng(new Uint8Array(3 * 4 * 4).fill(200), 4, 4).toString('base64');
  const image = { kind: 'image', x: 0, y: 0, width: 4, height: 4, href: `data:image/png;base64,${png}` } as const;
  const odd = { kind: 'circle', x: 2, y: 2, radius: 1, fill: '"/><script>&' } as const;
  const frame = { width: 4, height: 4, shapes: [image, odd] };
  const { header, frames } = read(await filmOf({ first: [frame, frame], second: [frame], framesPerSecond: 5 }));
  expect([header, frames]).toEqual(['GIF89a', 2]);
});

test('clips without pictures are refused', async () => {
  const empty = { width: 4, height: 3, shapes: [] };
  await expect(filmOf({ first: [empty], second: [empty], framesPerSecond: 5 })).rejects.toThrow('have no pictures');
});
