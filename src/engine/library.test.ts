import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { libraryPath, loadLibrary } from './library.ts';
import { nativeEngine } from './runtime/native.ts';

const heedError = (message: RegExp, hint: RegExp) =>
  expect.objectContaining({
    name: 'HeedError',
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  });
afterEach(() => vi.unstubAllEnvs());

describe('loadLibrary', () => {
  it('finds the library of the installed package, and its version', () => {
    const { path, version } = loadLibrary();
    expect(path).toBe(libraryPath());
    const installed = createRequire(import.meta.url)('onnxruntime-node/package.json').version;
    expect(version).toBe(installed);
  });

  it('tells of an API version that the library does not offer', () => {
    expect(() => loadLibrary(libraryPath(), 9999)).toThrow(
      heedError(
        /ONNX Runtime [\d.]+ in ".*" does not offer version 9999 of its C API: 1\.23 or later is needed/,
        /npm/,
      ),
    );
  });

  it('tells of a library that is missing, or none', () => {
    expect(() => loadLibrary('/nowhere/libonnxruntime.so')).toThrow(
      heedError(/cannot load "\/nowhere\/libonnxruntime.so"/, /npm ci/),
    );
    expect(() => loadLibrary(new URL(import.meta.url).pathname)).toThrow(
      heedError(/cannot load ".*library.test.ts"/, /npm/),
    );
  });

  it.skipIf(process.platform !== 'linux')('tells of a library that is another (needs Linux)', () => {
    expect(() => loadLibrary('libm.so.6')).toThrow(
      heedError(/"libm.so.6" is not ONNX Runtime: it has no OrtGetApiBase/, /npm/),
    );
  });

  it('throws what a call reports', () => {
    const { api, out, env } = nativeEngine();
    const options = out('CreateSessionOptions');
    const nonsense = new Uint8Array(8).fill(255);
    const create = () => out('CreateSessionFromArray', env, nonsense, nonsense.length, options);
    expect(create).toThrow(
      expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(/^ONNX Runtime: ./) }),
    );
    api.ReleaseSessionOptions(options);
  });
});

describe('HEED_ONNXRUNTIME', () => {
  it('names another library', () => {
    const path = libraryPath();
    vi.stubEnv('HEED_ONNXRUNTIME', path);
    expect(libraryPath()).toBe(path);
    expect(existsSync(path)).toBe(true);
  });
  it('must exist', () => {
    vi.stubEnv('HEED_ONNXRUNTIME', '/nowhere/lib.so');
    expect(() => libraryPath()).toThrow(heedError(/HEED_ONNXRUNTIME names "\/nowhere\/lib.so"/, /unset it/));
  });
});
