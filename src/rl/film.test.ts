import { expect, test } from 'vitest';
import { cartPole, type Frame } from '../env/index.ts';
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

test('a film in WebM shows the same in VP9, the shorter clip to its end', async () => {
  const frame = (fill: string): Frame => ({
    width: 61,
    height: 41,
    shapes: [{ kind: 'polygon', points: [0, 0, 61, 0, 61, 41, 0, 41], fill }],
  });
  const clips = { first: ['#000', '#000', '#000'].map(frame), second: ['#f00', '#00f'].map(frame), framesPerSecond: 5 };
  const bytes = await filmOf(clips, { width: 61, format: 'webm' });
  const { default: LibAV } = (await import('@libav.js/variant-webm-vp9')) as unknown as {
    default: typeof import('@libav.js/variant-webm-vp9');
  };
  const libav = await LibAV.LibAV({ noworker: true });
  await libav.writeFile('film.webm', bytes);
  const [format, [stream]] = await libav.ff_init_demuxer_file('film.webm');
  const [, context, packet, decoded] = await libav.ff_init_decoder(stream.codec_id, stream.codecpar);
  const [, packets] = await libav.ff_read_frame_multi(format, packet);
  const frames = await libav.ff_decode_multi(context, packet, decoded, packets[stream.index], true);
  const [width, height] = [frames[0].width!, frames[0].height!];
  expect([width, height, frames.length]).toEqual([124, 42, 3]);
  /** Brightness and colors of a pixel, Y, U and V. */
  const at = ({ data, layout }: (typeof frames)[number], x: number, y: number) => {
    const planes = layout as { offset: number; stride: number }[];
    return planes.map(({ offset, stride }, p) => data[offset + (p ? (y >> 1) * stride + (x >> 1) : y * stride + x)]);
  };
  const near = (pixel: number[], expected: number[]) =>
    expect(Math.max(...pixel.map((value, p) => Math.abs(value - expected[p])))).toBeLessThan(12);
  const [black, red, blue] = [
    [16, 128, 128],
    [81, 90, 240],
    [41, 240, 110],
  ];
  frames.forEach((one, i) => {
    near(at(one, 30, 20), black);
    near(at(one, 92, 20), i === 0 ? red : blue);
  });
  libav.terminate();
});
