import ui from '@nuxt/ui/vite'
import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Where `npm run dev` finds a gateway. */
const gateway = process.env.CONSOLE_GATEWAY ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    vue(),
    ui({
      // Icons are part of the bundle: nothing is ever asked of another host.
      icon: { clientBundle: { scan: { globInclude: ['src/**/*.{vue,ts}'], globExclude: [] } } },
      components: { dts: 'src/generated/components.d.ts', dirs: [] },
      autoImport: false,
      colorMode: false,
      experimental: { componentDetection: true },
      theme: { colors: ['primary', 'secondary', 'success', 'info', 'warning', 'error'] },
    }),
  ],
  resolve: {
    alias: [
      { find: '@', replacement: fileURLToPath(new URL('src', import.meta.url)) },
      { find: /^aria-hidden$/, replacement: fileURLToPath(new URL('src/shell/hideOthers.ts', import.meta.url)) },
    ],
  },
  build: {
    outDir: 'dist/app',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/api': {
        target: gateway,
        // The gateway answers its own page only.
        headers: { origin: new URL(gateway).origin },
      },
    },
  },
  test: { include: ['src/**/*.test.ts'] },
})
