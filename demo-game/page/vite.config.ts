/** How the page is built and served; the process uses the same file for both. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const pageFolder = fileURLToPath(new URL('.', import.meta.url));

export default defineConfig({
  root: pageFolder,
  base: './',
  resolve: { conditions: ['@lanista/source', 'browser', 'module', 'import', 'default'] },
  build: {
    outDir: fileURLToPath(new URL('../../dist-page', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    // Phaser alone is 1.4 MB; it changes rarely, so a file of its own stays in the browser's cache.
    chunkSizeWarningLimit: 2000,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'phaser', test: /node_modules[\\/]phaser/ }] } } },
  },
});
