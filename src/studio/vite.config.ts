import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

/** KaTeX offers each font in three formats; every browser that shows the page reads the first, and only that is shipped. */
const oneFormat: Plugin = {
  name: 'one-format-of-fonts',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('katex.min.css') ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)/g, '') : undefined,
};

/** The fonts' license, which asks to go with them. Vite lists those of libraries in licenses.md. */
const fontLicenses: Plugin = {
  name: 'licenses-of-fonts',
  generateBundle() {
    for (const font of ['inter', 'jetbrains-mono', 'source-serif-4']) {
      const source = readFileSync(new URL(`../../node_modules/@fontsource-variable/${font}/LICENSE`, import.meta.url));
      this.emitFile({ type: 'asset', fileName: `license-of-${font}.txt`, source });
    }
  },
};

export default defineConfig({
  plugins: [oneFormat, fontLicenses],
  // a file inlined as data: would be refused by the page's Content-Security-Policy
  build: {
    outDir: '../../dist/studio',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    license: { fileName: 'licenses.md' }, // of the libraries that are bundled
  },
  // while the page is worked on: npx vite src/studio beside a studio on its usual port
  server: { proxy: { '/api': 'http://127.0.0.1:7331' } },
});
