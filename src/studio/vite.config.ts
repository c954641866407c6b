import { defineConfig } from 'vite';

export default defineConfig({
  build: { outDir: '../../dist/studio', emptyOutDir: true, target: 'es2022' },
  // while the page is worked on: npx vite src/studio beside a studio on its usual port
  server: { proxy: { '/api': 'http://127.0.0.1:7331' } },
});
