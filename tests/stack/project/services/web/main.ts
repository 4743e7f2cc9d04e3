document.title = 'web is served by vite' as string
