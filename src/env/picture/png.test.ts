import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { encodePng } from './png.ts';

test('a picture is the same after it was written and read', () => {
  const [width, height] = [5, 3];
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 256);
  const file = encodePng(rgb, width, height);
  expect([...file.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  expect([file.readUInt32BE(16), file.readUInt32BE(20)]).toEqual([width, height]);
  const data = file.indexOf('IDAT');
  const rows = inflateSync(file.subarray(data + 4, data + 4 + file.readUInt32BE(data - 4)));
  const stride = 3 * width;
  const read = new Uint8Array(rgb.length);
  for (let y = 0; y < height; y++) {
    expect(rows[y * (stride + 1)]).toBe(2); // the filter "up"
    for (let i = 0; i < stride; i++) {
      read[y * stride + i] = rows[y * (stride + 1) + 1 + i] + (y > 0 ? read[(y - 1) * stride + i] : 0);
    }
  }
  expect(read).toEqual(rgb);
});
