import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// `npm run dev` serves the page from sources and hands the gateway's paths on to a running mesh.
const gateway = process.env['TGMESH_GATEWAY'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [svelte()],
  // Relative, so that the page also works behind a proxy's path.
  base: './',
  build: {
    target: 'es2022',
    // Nothing inline: the page is served with `script-src 'self'; style-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  server: {
    proxy: {
      '/ws': { target: gateway, ws: true },
      '/api': { target: gateway },
    },
  },
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
  },
})
