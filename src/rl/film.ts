/** Clips as moving pictures, drawn without a display or a browser. */
import type { Frame, FrameShape } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { createRequire, readFileSync } from '../node.ts';
import { optionalPackage } from '../optional-package.ts';
import type { EpisodeSample } from './episodes.ts';

/** The formats of films: GIF, which repeats forever and plays anywhere, or WebM (VP9), a tenth of its size. */
export const filmFormats = ['gif', 'webm'] as const;

/** How a film is drawn. */
export interface FilmOptions {
  /** Width of each of the two clips in pixels. Default 300. */
  width?: number;
  /** Default: `gif`. */
  format?: (typeof filmFormats)[number];
}

/** What is used of gifenc, which brings no types. */
interface GifEncoding {
  GIFEncoder(): {
    writeFrame(
      indices: Uint8Array,
      width: number,
      height: number,
      options: { palette?: readonly number[][]; delay: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array;
  };
  quantize(pixels: Uint8Array, colors: number): number[][];
  applyPalette(pixels: Uint8Array, palette: readonly number[][]): Uint8Array;
}

type LibavPackage = { default: typeof import('@libav.js/variant-webm-vp9') };

const load = createRequire(import.meta.url);
/** Not installed with heed: their licenses are MPL-2.0 and LGPL-2.1, and few need them. */
const [RESVG, LIBAV] = ['@resvg/resvg-wasm', '@libav.js/variant-webm-vp9'];
const GAP = 0.02; // between the two clips, as a share of the width of one
const COLORS = 256;
const LOOKED_AT = 8; // frames that the palette is made from

/**
 * The bytes of a film: the episode before training on the left, after it on the right. The shorter one stays at its last
 * picture.
 *
 * @throws HeedError if the sample has no pictures.
 */
export async function filmOf(
  { first, second, framesPerSecond }: Pick<EpisodeSample, 'first' | 'second' | 'framesPerSecond'>,
  { width = 300, format = 'gif' }: FilmOptions = {},
): Promise<Uint8Array> {
  const frames = Math.max(first.length, second.length);
  const drawn = [first, second].some((clip) => clip.some(({ shapes }) => shapes.length > 0));
  if (frames === 0 || !drawn) {
    throw new HeedError('the clips have no pictures: the environment could not be drawn', {
      hint: 'heed watch plays new episodes, if the environment can be drawn',
    });
  }
  const render = await renderer();
  const at = (clip: readonly Frame[], i: number) => clip[Math.min(i, clip.length - 1)];
  const picture = (i: number) => render(sideBySide(at(first, i), at(second, i)), Math.round((2 + GAP) * width));
  return format === 'webm' ? webmOf(frames, picture, framesPerSecond) : gifOf(frames, picture, framesPerSecond);
}

function gifOf(frames: number, picture: (i: number) => Picture, framesPerSecond: number): Uint8Array {
  const { GIFEncoder, quantize, applyPalette } = load('gifenc') as GifEncoding;
  const looked = Array.from({ length: Math.min(LOOKED_AT, frames) }, (_, k, all = Math.min(LOOKED_AT, frames)) =>
    picture(Math.floor((k * frames) / all)),
  );
  const palette = quantize(joined(looked.map(({ pixels }) => pixels)), COLORS);
  const gif = GIFEncoder();
  for (let i = 0; i < frames; i++) {
    const { pixels, width: wide, height } = picture(i);
    gif.writeFrame(applyPalette(pixels, palette), wide, height, {
      ...(i === 0 && { palette }),
      delay: 1000 / framesPerSecond,
    });
  }
  gif.finish();
  return gif.bytes();
}

/** VP9 in WebM, by FFmpeg's encoder and muxer in WebAssembly. */
async function webmOf(frames: number, picture: (i: number) => Picture, framesPerSecond: number): Promise<Uint8Array> {
  const { default: LibAV } = await optionalPackage<LibavPackage>(LIBAV, 'A film in WebM');
  const libav = await LibAV.LibAV({ noworker: true });
  try {
    await libav.av_log_set_level(libav.AV_LOG_ERROR);
    const { width, height } = evenSize(picture(0));
    const timeBase: [number, number] = [1, Math.round(framesPerSecond)];
    const format = libav.AV_PIX_FMT_YUV420P;
    const [, context, frame, packet] = await libav.ff_init_encoder('libvpx-vp9', {
      ctx: { bit_rate: 0, pix_fmt: format, width, height },
      time_base: timeBase,
      options: { crf: '30', deadline: 'good', 'cpu-used': '5' }, // constant quality, which pictures of shapes need little for
    });
    const pictures = Array.from({ length: frames }, (_, pts) => ({ ...planesOf(picture(pts)), format, pts, ptshi: 0 }));
    const packets = await libav.ff_encode_multi(context, frame, packet, pictures, true);
    const [output, , file] = await libav.ff_init_muxer({ filename: FILM, open: true }, [[context, ...timeBase]]);
    await libav.avformat_write_header(output, 0);
    await libav.ff_write_multi(output, packet, packets);
    await libav.av_write_trailer(output);
    await libav.ff_free_muxer(output, file);
    return await libav.readFile(FILM);
  } finally {
    libav.terminate();
  }
}

/** A name in FFmpeg's own file system. */
const FILM = 'film.webm';

/** Colors have half the resolution of brightness, so the sides are even. */
const evenSize = ({ width, height }: Picture) => ({ width: width + (width % 2), height: height + (height % 2) });

/** A picture as planes of brightness and of two colors (BT.601, 4:2:0); a side that is odd repeats its last pixels. */
function planesOf({ pixels, ...size }: Picture) {
  const { width, height } = evenSize(size as Picture);
  const [colorAt, half] = [width * height, width / 2];
  const colors = (half * height) / 2;
  const data = new Uint8Array(colorAt + 2 * colors);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 4 * (Math.min(y, size.height - 1) * size.width + Math.min(x, size.width - 1));
      const [r, g, b] = [pixels[at], pixels[at + 1], pixels[at + 2]];
      data[y * width + x] = 16 + 0.257 * r + 0.504 * g + 0.098 * b;
      if (x % 2 === 1 || y % 2 === 1) continue;
      const to = colorAt + (y / 2) * half + x / 2;
      data[to] = 128 - 0.148 * r - 0.291 * g + 0.439 * b;
      data[to + colors] = 128 + 0.439 * r - 0.368 * g - 0.071 * b;
    }
  }
  const plane = (offset: number, stride: number) => ({ offset, stride });
  return { data, width, height, layout: [plane(0, width), plane(colorAt, half), plane(colorAt + colors, half)] };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Pixels in RGBA. */
interface Picture {
  width: number;
  height: number;
  pixels: Uint8Array;
}

let started: Promise<(svg: string, width: number) => Picture> | undefined;

/** Draws SVG in WebAssembly, which starts once in a process. */
function renderer(): Promise<(svg: string, width: number) => Picture> {
  started ??= (async () => {
    const { initWasm, Resvg } = await optionalPackage<typeof import('@resvg/resvg-wasm')>(RESVG, 'A film');
    await initWasm(readFileSync(load.resolve(`${RESVG}/index_bg.wasm`)));
    return (svg: string, value: number) => {
      const resvg = new Resvg(svg, { fitTo: { mode: 'width', value } });
      const image = resvg.render();
      const picture = { width: image.width, height: image.height, pixels: image.pixels.slice() };
      image.free();
      resvg.free();
      return picture;
    };
  })();
  return started;
}

/** Two pictures beside each other, as SVG. */
function sideBySide(left: Frame | undefined, right: Frame | undefined): string {
  const { width, height } = (left ?? right)!;
  const gap = GAP * width;
  const clip = (frame: Frame | undefined, x: number) =>
    `<svg x="${x}" width="${width}" height="${height}" viewBox="0 0 ${frame?.width ?? width} ${frame?.height ?? height}"><rect width="100%" height="100%" fill="#fff"/>${(frame?.shapes ?? []).map(element).join('')}</svg>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * width + gap} ${height}"><rect width="100%" height="100%" fill="#888"/>${clip(left, 0)}${clip(right, width + gap)}</svg>`;
}

/** A shape as SVG. What an environment writes is text to SVG, whatever it is. */
function element(shape: FrameShape): string {
  const text = (value: unknown) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  switch (shape.kind) {
    case 'polygon':
      return `<polygon points="${text(shape.points.join(' '))}" fill="${text(shape.fill)}"/>`;
    case 'line':
      return `<polyline points="${text(shape.points.join(' '))}" fill="none" stroke="${text(shape.stroke)}" stroke-width="${text(shape.width)}"/>`;
    case 'circle':
      return `<circle cx="${text(shape.x)}" cy="${text(shape.y)}" r="${text(shape.radius)}" fill="${text(shape.fill)}"/>`;
    default:
      return `<image x="${text(shape.x)}" y="${text(shape.y)}" width="${text(shape.width)}" height="${text(shape.height)}" href="${text(shape.href)}"/>`;
  }
}
